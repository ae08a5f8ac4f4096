"""The offline model's own sentences, in three languages. What a diagnosis says is in knowledge.wording."""

from protocol.events import Language

PHRASES: dict[str, dict[Language, str]] = {
    "offline": {
        "en": "_Answered without a language model, by rules._",
        "zh": "_本回答由规则生成，未使用语言模型。_",
        "ja": "_言語モデルを使わず、ルールで答えました。_",
    },
    "fallback": {
        "en": "_The language model could not be used ({why}), so the rules answer._",
        "zh": "_无法使用语言模型（{why}），因此由规则作答。_",
        "ja": "_言語モデルを使えなかったため（{why}）、ルールで答えます。_",
    },
    "other_model": {
        "en": "_Answered by {model}, because the configured model could not be used ({why})._",
        "zh": "_本回答由 {model} 生成，因为无法使用所配置的模型（{why}）。_",
        "ja": "_設定されたモデルを使えなかったため（{why}）、{model} が答えました。_",
    },
    "wait": {
        "en": "The model asks us to wait {seconds} s: {why}.",
        "zh": "模型要求等待 {seconds} 秒：{why}。",
        "ja": "モデルが {seconds} 秒待つよう求めています：{why}。",
    },
    "compacted": {
        "en": "The model's context is too small for this; older results are shortened.",
        "zh": "模型的上下文容纳不下；正在缩短较早的结果。",
        "ja": "モデルのコンテキストに収まらないため、古い結果を短くしています。",
    },
    "cut": {
        "en": "_The model's answer was cut at its limit of length._",
        "zh": "_模型的回答达到长度上限而被截断。_",
        "ja": "_モデルの回答は長さの上限で切れています。_",
    },
    "scope_all": {"en": "all namespaces", "zh": "所有命名空间", "ja": "すべての名前空間"},
    "scope_some": {"en": "the namespaces {names} only", "zh": "仅命名空间 {names}", "ja": "名前空間 {names} のみ"},
    "help": {
        "en": "Ask me about this cluster, for instance:\n\n"
        "- why does payments keep restarting?\n- what is wrong in namespace shop?\n"
        "- show the logs of payments before the crash\n- how much memory does payments use?\n"
        "- what changed in the last hour?\n- list pods in shop; events in shop\n"
        "- fix it (I propose the remedy of the last diagnosis; people approve it)",
        "zh": "可以这样问我：\n\n- 为什么 payments 一直重启？\n- 命名空间 shop 有什么问题？\n- 显示 payments 崩溃前的日志\n"
        "- payments 用了多少内存？\n- 最近一小时改了什么？\n- 列出 shop 的 pod；shop 的事件\n"
        "- 修复它（我提出上次诊断的方案，由人批准）",
        "ja": "たとえば次のように聞いてください：\n\n- なぜ payments は再起動を繰り返すの？\n- 名前空間 shop の何が問題？\n"
        "- payments のクラッシュ前のログを見せて\n- payments のメモリ使用量は？\n- この1時間で何が変わった？\n"
        "- shop の pod 一覧、shop のイベント\n- 直して（直前の診断の対処を提案します。承認するのは人です）",
    },
    "unknown": {
        "en": "Without a language model I don't understand that question.",
        "zh": "没有语言模型，我无法理解这个问题。",
        "ja": "言語モデルが無いため、その質問は理解できません。",
    },
    "which": {
        "en": "Which one do you mean? Name the workload or the pod.",
        "zh": "您指的是哪一个？请写出工作负载或 pod 的名称。",
        "ja": "どれのことですか？ワークロードか pod の名前を書いてください。",
    },
    "no_pod": {
        "en": "I found no pod whose name has `{target}` in it.",
        "zh": "没有找到名称包含 `{target}` 的 pod。",
        "ja": "名前に `{target}` を含む pod は見つかりませんでした。",
    },
    "looked": {"en": "`{title}` says:", "zh": "`{title}` 的结果：", "ja": "`{title}` の結果："},
    "failed": {
        "en": "`{title}` did not work ({status}): {why}",
        "zh": "`{title}` 未成功（{status}）：{why}",
        "ja": "`{title}` は失敗しました（{status}）：{why}",
    },
    "nothing": {"en": "`{title}` has nothing to show.", "zh": "`{title}` 没有内容。", "ja": "`{title}` には何もありません。"},
    "proposed": {
        "en": "**Proposed:** {what}. The card below has the diff, the risk and who may approve. Nothing has changed yet.",
        "zh": "**已提出方案：**{what}。下方卡片列出差异、风险和谁可以批准。目前尚未做任何修改。",
        "ja": "**提案しました：**{what}。下のカードに差分、リスク、承認できる人があります。まだ何も変わっていません。",
    },
    "proposed_only": {
        "en": "**Proposed, but it can't run here:** {what}. {why} The card below has the diff for somebody who can.",
        "zh": "**已提出方案，但无法在此执行：**{what}。{why} 下方卡片列出差异，可由他人执行。",
        "ja": "**提案しましたが、ここでは実行できません：**{what}。{why} 下のカードに差分があるので、他の人が実行できます。",
    },
    "not_proposed": {
        "en": "**Not proposed:** {why}",
        "zh": "**未提出方案：**{why}",
        "ja": "**提案できませんでした：**{why}",
    },
    "no_remedy": {
        "en": "There is no remedy that I could propose. {why}",
        "zh": "没有我可以提出的修复方案。{why}",
        "ja": "提案できる対処はありません。{why}",
    },
    "no_diagnosis": {
        "en": "There is no diagnosis in this thread yet. Ask first what is wrong: why does payments keep restarting?",
        "zh": "本会话还没有诊断。请先询问哪里出错，例如：为什么 payments 一直重启？",
        "ja": "このスレッドにはまだ診断がありません。まず何が問題かを聞いてください。例：なぜ payments は再起動を繰り返すの？",
    },
    "may_not": {
        "en": "You may not propose changes here; ask somebody with the role operator to say “fix it”.",
        "zh": "您无权在此提出修改；请具有 operator 角色的人说“修复它”。",
        "ja": "ここで変更を提案する権限がありません。operator の役割を持つ人に「直して」と言ってもらってください。",
    },
    "budget": {
        "en": "_The budget of this turn was used up, so this is what I have._",
        "zh": "_本轮预算已用完，以下是目前所知。_",
        "ja": "_このターンの予算を使い切ったので、ここまでの結果です。_",
    },
    "seen": {"en": "Seen now:", "zh": "现在看到：", "ja": "現在の状態："},
    "succeeded": {
        "en": "**Healed.** `{command}` worked: {target} is healthy again after {took}. {message}",
        "zh": "**已恢复。**`{command}` 生效：{target} 在 {took} 后恢复健康。{message}",
        "ja": "**直りました。**`{command}` が効き、{target} は {took} で正常に戻りました。{message}",
    },
    "failed_action": {
        "en": "**Not healed.** `{command}` on {target} did not help, after {took}. {message}",
        "zh": "**未恢复。**对 {target} 执行 `{command}` 未见效，历时 {took}。{message}",
        "ja": "**直っていません。**{target} への `{command}` は効きませんでした（{took}）。{message}",
    },
    "rolled_back": {
        "en": "**Undone.** `{command}` on {target} made it worse and was undone, after {took}. {message}",
        "zh": "**已撤销。**对 {target} 执行 `{command}` 使情况变差，已撤销，历时 {took}。{message}",
        "ja": "**取り消しました。**{target} への `{command}` で悪化したため元に戻しました（{took}）。{message}",
    },
    "unknown_action": {
        "en": "**Nobody can tell** whether `{command}` on {target} ran ({took}). Look at it before you try again. {message}",
        "zh": "**无法确定** 对 {target} 的 `{command}` 是否已执行（{took}）。重试前请先检查。{message}",
        "ja": "{target} への `{command}` が実行されたか**分かりません**（{took}）。再試行の前に確認してください。{message}",
    },
    "rejected": {
        "en": "**Rejected** by {by}: {message} `{command}` on {target} was not run, and nothing was changed. "
        "Ask for something else, or ask again when the reason no longer holds.",
        "zh": "**已被** {by} **拒绝**：{message}未对 {target} 执行 `{command}`，没有任何变更。"
        "可以要求别的做法，或在该理由不再成立时再次提出。",
        "ja": "{by} により**却下されました**：{message}{target} への `{command}` は実行されず、何も変更されていません。"
        "別の方法を求めるか、理由がなくなったらもう一度依頼してください。",
    },
    "not_enough_evidence": {
        "en": "**Not enough evidence**: what was seen tells that it fails, and does not prove why. "
        "Nothing is proposed on a guess.",
        "zh": "**证据不足**：已看到的内容说明它在失败，但不能证明原因。不会凭猜测提出变更。",
        "ja": "**証拠が不十分です**：失敗していることは分かりますが、原因は証明されていません。推測で変更は提案しません。",
    },
    "no_safe_fix": {
        "en": "**No safe fix**: nothing that may be proposed here mends this. It takes a person.",
        "zh": "**没有安全的修复**：这里可以提出的变更都无法解决，需要人来处理。",
        "ja": "**安全な修正はありません**：ここで提案できる変更では直りません。人の対応が必要です。",
    },
    "unproven": {
        "en": "_Evidence check: none of the quoted evidence occurs in what was seen, so this is not proven: I don't know._",
        "zh": "_证据核对：所引证据均未出现在查看到的内容中，因此未经证实：我不知道。_",
        "ja": "_証拠の照合：引用された証拠は見た内容に無く、証明されていません：分かりません。_",
    },
}


def phrase(key: str, language: Language, **values: str) -> str:
    """The sentence with its values. Raises KeyError for an unknown one."""
    return PHRASES[key][language].format(**values)
