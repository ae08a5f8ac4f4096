"""A typed action in a sentence: a row a type of remediation, or more where a field turns the meaning round (`type.form`).

In braces stand fields of the action; `{target}` is its object, `{settings}` are the values that it sets.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Sentence(NamedTuple):
    en: str
    zh: str
    ja: str


UNKNOWN = Sentence("{type} {target}", "{type} {target}", "{type} {target}")
SENTENCES: Mapping[str, Sentence] = {
    "restart": Sentence(
        "Restart {target}",
        "重启 {target}",
        "{target} を再起動する",
    ),
    "scale": Sentence(
        "Scale {target} to {replicas} replicas",
        "将 {target} 扩缩到 {replicas} 个副本",
        "{target} を {replicas} レプリカにする",
    ),
    "rollback": Sentence(
        "Roll {target} back to revision {to_revision}",
        "将 {target} 回滚到版本 {to_revision}",
        "{target} をリビジョン {to_revision} に戻す",
    ),
    "rollback.before": Sentence(
        "Roll {target} back to the revision before",
        "将 {target} 回滚到上一个版本",
        "{target} を一つ前のリビジョンに戻す",
    ),
    "set_image": Sentence(
        "Set the image of container {container} in {target} to {image}",
        "将 {target} 中容器 {container} 的镜像设为 {image}",
        "{target} のコンテナ {container} のイメージを {image} にする",
    ),
    "set_resources": Sentence(
        "Set {settings} of container {container} in {target}",
        "将 {target} 中容器 {container} 的资源设为 {settings}",
        "{target} のコンテナ {container} のリソースを {settings} にする",
    ),
    "set_env": Sentence(
        "Set {settings} of container {container} in {target}",
        "将 {target} 中容器 {container} 的环境变量设为 {settings}",
        "{target} のコンテナ {container} の環境変数を {settings} にする",
    ),
    "patch_configmap": Sentence(
        "Set {settings} in {target}",
        "将 {target} 中的 {settings} 写入",
        "{target} に {settings} を設定する",
    ),
    "delete_pod": Sentence(
        "Delete {target}",
        "删除 {target}",
        "{target} を削除する",
    ),
    "cordon": Sentence(
        "Cordon {target}",
        "将 {target} 设为不可调度",
        "{target} をスケジュール対象外にする",
    ),
    "uncordon": Sentence(
        "Uncordon {target}",
        "将 {target} 恢复为可调度",
        "{target} をスケジュール対象に戻す",
    ),
    "drain": Sentence(
        "Drain {target}",
        "排空 {target}",
        "{target} をドレインする",
    ),
    "expand_pvc": Sentence(
        "Expand {target} to {size}",
        "将 {target} 扩容到 {size}",
        "{target} を {size} に拡張する",
    ),
    "create_configmap": Sentence(
        "Create {target} with {settings}",
        "创建 {target}，内容为 {settings}",
        "{target} を {settings} で作成する",
    ),
    "delete_configmap": Sentence(
        "Delete {target}",
        "删除 {target}",
        "{target} を削除する",
    ),
    "adjust_hpa": Sentence(
        "Set {target} to {min_replicas} to {max_replicas} replicas",
        "将 {target} 的副本范围设为 {min_replicas} 到 {max_replicas}",
        "{target} のレプリカ数を {min_replicas}〜{max_replicas} にする",
    ),
    "adjust_hpa.min": Sentence(
        "Set {target} to {min_replicas} replicas at least",
        "将 {target} 的副本下限设为 {min_replicas}",
        "{target} の最小レプリカ数を {min_replicas} にする",
    ),
    "adjust_hpa.max": Sentence(
        "Set {target} to {max_replicas} replicas at most",
        "将 {target} 的副本上限设为 {max_replicas}",
        "{target} の最大レプリカ数を {max_replicas} にする",
    ),
    "suspend_cronjob": Sentence(
        "Suspend {target}",
        "暂停 {target}",
        "{target} を一時停止する",
    ),
    "suspend_cronjob.resume": Sentence(
        "Resume {target}",
        "恢复 {target}",
        "{target} を再開する",
    ),
}
