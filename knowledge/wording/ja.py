"""Japanese."""

from knowledge.wording.texts import CodeText as C
from knowledge.wording.texts import Texts

TEXTS = Texts(
    phrases={
        "root_cause": "根本原因",
        "confidence": "確度 {percent}%",
        "evidence": "証拠",
        "explains": "これによる影響",
        "changed": "最近の変更",
        "by": "変更者 {by}",
        "do": "対処",
        "risk": "リスク：{risk}",
        "about": "約 {seconds} 秒",
        "why": "理由",
        "effect": "期待される効果",
        "checked": "確認したもの",
        "limits": "確認できなかったもの",
        "example": "付属の例",
        "similar": "類似の事例",
        "healthy": "{subject} に問題はありません。",
        "unknown": "{subject} の何が問題なのか分かりません。",
        "seen": "見られる症状",
        "cluster": "クラスター",
        "removed": "（削除）",
        "absent": "（なし）",
        "colon": "：",
        "comma": "、",
        "semicolon": " / ",
        "risk_none": "なし",
        "risk_low": "低",
        "risk_medium": "中",
        "risk_high": "高",
        "outcome_held": "解決済み・安定",
        "outcome_relapsed": "再発",
        "outcome_provisional": "検証中",
        "outcome_unsolved": "未解決",
        "source_object": "オブジェクト",
        "source_event": "イベント",
        "source_log": "ログ",
        "source_metric": "メトリクス",
        "source_change": "変更",
        "source_case": "事例",
    },
    codes={
        "memory-limit-too-low": C(
            "メモリ上限が低すぎる",
            (
                "コンテナ {container} は上限 {limit} より多くのメモリを必要とし、"
                "カーネルに繰り返し終了されています（OOMKilled、再起動 {restarts} 回）。"
            ),
            "メモリ上限を上げる（ピークの 1.3 倍）か、前のリビジョンに戻す。",
        ),
        "out-of-memory-on-node": C(
            "ノードのメモリ不足",
            "メモリ上限のないコンテナ {container} が、ノード {node} のメモリ不足で終了されました。",
            "メモリの request と limit を設定し、ノードの他の使用量を調べる。",
        ),
        "crash-on-start": C(
            "コンテナが繰り返し終了する",
            "コンテナ {container} が終了コード {exit_code} で終わり、再起動を繰り返しています（{restarts} 回）。",
            "前回のログの末尾を見る。リリース直後なら戻す。",
        ),
        "command-not-found": C(
            "コマンドを起動できない",
            "コンテナ {container} のコマンド {command} がイメージにないか、実行できません。",
            "コマンドを直すか、前のリビジョンに戻す。",
        ),
        "env-variable-missing": C(
            "環境変数がない",
            "環境変数 {env} が設定されていないため、コンテナ {container} が終了しています。",
            "変数を設定するか、設定のあるリビジョンに戻す。",
        ),
        "env-wrong-value": C(
            "環境変数の値が誤っている",
            "{kind} {name} の {key} は {current} ですが、その Service はありません。",
            "正しいアドレスに戻す。",
        ),
        "liveness-probe-wrong": C(
            "liveness プローブがコンテナを終了させる",
            "コンテナ {container} の {probe} が失敗し、kubelet が再起動を繰り返しています。ほかに終了の原因はありません。",
            "プローブのパス、ポート、時間を直す。",
        ),
        "readiness-probe-failing": C(
            "readiness プローブが失敗している",
            "コンテナ {container} は動いていますが Ready でないため、通信が届きません。",
            "プローブの宛先に自分でアクセスして理由を調べる。",
        ),
        "readiness-probe-wrong": C(
            "readiness プローブの設定が誤っている",
            "コンテナ {container} のプローブは、提供されていないパスまたはポートを見ています。",
            "提供されているパスとポートに直す。",
        ),
        "init-container-waiting": C(
            "init コンテナが終わらない",
            "init コンテナ {container} が待ち続けているため、Pod が起動しません。",
            "待っている宛先を直し、タイムアウトを付ける。",
        ),
        "container-create-error": C(
            "コンテナを作成できない",
            "コンテナ {container} を作成できません（{reason}）。",
            "kubelet のメッセージに従って設定を直す。",
        ),
        "sandbox-failed": C(
            "Pod サンドボックスを作成できない",
            "ノード {node} で Pod サンドボックスを作成できません。",
            "ネットワークプラグインとランタイムを調べる。",
        ),
        "pod-evicted": C(
            "Pod が退避された",
            "ノード {node} の資源不足で {kind} {name} の Pod が退避されました。",
            "使用量に合う request を設定し、ノードの資源を空ける。",
        ),
        "pod-stuck-terminating": C(
            "Pod が消えない", "Pod {name} は削除されたはずですが残っています。", "finalizer とノードを調べる。"
        ),
        "configmap-wrong-value": C(
            "ConfigMap の値が誤っている",
            "ConfigMap {name} の {key} は {current} ですが、その Service はありません。",
            "元の値に戻し、読み込むワークロードを再起動する。",
        ),
        "configmap-missing": C(
            "ConfigMap がない",
            "{workload} に必要な ConfigMap {name} が名前空間 {namespace} にありません。",
            "作成するか、参照を直す。",
        ),
        "configmap-key-missing": C(
            "ConfigMap のキーがない",
            "{workload} に必要な ConfigMap {name} のキー {key} がありません。",
            "キーを追加するか、参照を直す。",
        ),
        "secret-missing": C(
            "Secret がない",
            "{workload} に必要な Secret {name} が名前空間 {namespace} にありません。",
            "シークレット管理から作成するか、参照を直す。",
        ),
        "secret-key-missing": C(
            "Secret のキーがない",
            "{workload} に必要な Secret {name} のキー {key} がありません。",
            "キーを追加するか、参照を直す。",
        ),
        "image-tag-not-found": C(
            "イメージのタグがない",
            "コンテナ {container} のイメージ {image} がレジストリにありません。",
            "前のイメージに戻すか、存在するタグにする。",
        ),
        "image-pull-unauthorized": C(
            "イメージ取得が許可されていない",
            "レジストリがコンテナ {container} のイメージ {image} の取得を拒否しています。",
            "取得用の資格情報（imagePullSecrets）を更新する。",
        ),
        "image-pull-rate-limited": C(
            "イメージ取得が制限されている", "イメージ {image} の取得回数が制限されています。", "認証付きの取得かミラーを使う。"
        ),
        "image-registry-unreachable": C(
            "レジストリに接続できない",
            "ノードからイメージ {image} のレジストリに接続できません。",
            "DNS、プロキシ、証明書、ネットワークを調べる。",
        ),
        "image-name-invalid": C(
            "イメージ名の形式が誤っている",
            "コンテナ {container} のイメージ名 {image} を解釈できません。",
            "イメージ名を直す。",
        ),
        "image-architecture-mismatch": C(
            "イメージがノードのアーキテクチャに対応していない",
            "このノードのアーキテクチャ用のイメージがありません。",
            "対応するイメージを使うか、ノードを限定する。",
        ),
        "image-pull-failed": C(
            "イメージを取得できない",
            "コンテナ {container} のイメージ {image} を取得できません。",
            "ノード上で取得を試してエラーを見る。",
        ),
        "insufficient-cpu": C(
            "CPU が足りない",
            "コンテナ {container} は CPU {request} を要求していますが、空きのあるノードがありません。",
            "request を下げるか、ノードを増やす。",
        ),
        "insufficient-memory": C(
            "メモリが足りない",
            "コンテナ {container} はメモリ {request} を要求していますが、空きのあるノードがありません。",
            "request を下げるか、ノードを増やす。",
        ),
        "node-selector-unmatched": C(
            "条件に合うノードがない",
            "{kind} {name} のノードセレクターまたはアフィニティーに合うノードがありません。",
            "セレクターを直すか、ノードにラベルを付ける。",
        ),
        "taint-not-tolerated": C(
            "taint により配置できない",
            "適したノードには {kind} {name} が許容しない taint があります。",
            "toleration を追加するか、不要な taint を外す。",
        ),
        "pod-affinity-unsatisfied": C(
            "Pod アフィニティーを満たせない",
            "{kind} {name} のアフィニティーや分散の規則で、配置できるノードがありません。",
            "規則を緩めるか、ノードを増やす。",
        ),
        "volume-node-conflict": C(
            "ボリュームが別のゾーンにある",
            "{kind} {name} のボリュームは、Pod が動けないノードでしか使えません。",
            "ボリュームのあるゾーンで動かす。",
        ),
        "unschedulable": C(
            "Pod を配置できない",
            "{kind} {name} を配置できるノードが見つかりません。",
            "スケジューラーのメッセージにある制約を緩める。",
        ),
        "quota-exceeded": C(
            "クォータ超過",
            "ResourceQuota {quota} が {workload} の Pod を拒否しました：要求 {requested}、使用 {used}、上限 {limited}。",
            "クォータを上げるか、request を下げる。",
        ),
        "service-selector-mismatch": C(
            "Service のセレクターが合わない",
            "Service {name} は {selector} を選びますが、合う Pod がありません。{workload} の Pod のラベルは {labels} です。",
            "Service のセレクターを直す。",
        ),
        "service-port-mismatch": C(
            "Service のポートが誤っている",
            "Service {name} はポート {target_port} に送りますが、Pod の宣言は {declared} です。",
            "targetPort を直す。",
        ),
        "service-missing": C(
            "Service がない",
            "呼び出されている Service {name} が名前空間 {namespace} にありません。",
            "Service を作成するか、アドレスを直す。",
        ),
        "service-no-endpoints": C(
            "Service に Ready の Pod がない",
            "Service {name} の背後に Ready の Pod がありません。",
            "背後の Pod を Ready にする。",
        ),
        "dependency-unreachable": C(
            "依存先に接続できない",
            "コンテナ {container} から {host} に接続できません。",
            "依存先、ポート、ネットワークポリシーを調べる。",
        ),
        "upstream-errors": C(
            "呼び出し先のエラー", "{kind} {name} のログに、呼び出し先からのエラーがあります。", "呼び出し先を調べる。"
        ),
        "ingress-backend-missing": C(
            "Ingress のバックエンドがない",
            "Ingress {name} の宛先 Service {service} がありません。",
            "宛先を直すか、Service を作成する。",
        ),
        "port-in-use": C("ポートが使用中", "コンテナ {container} が使うポートは、すでに使われています。", "別のポートにする。"),
        "network-policy-blocks": C(
            "NetworkPolicy が接続を止めている",
            "NetworkPolicy {name} は {workload} から {to} への接続を許さず、タイムアウトしています。",
            "作成者に確認し、ポリシーで許可する。",
        ),
        "scaled-to-zero": C(
            "レプリカ数がゼロ", "必要とされている {kind} {name} のレプリカ数がゼロです。", "意図を確認し、レプリカ数を戻す。"
        ),
        "pvc-pending": C(
            "PVC が未割り当て", "PVC {name} が割り当てられていません。", "StorageClass とプロビジョナーを調べる。"
        ),
        "pvc-missing": C("PVC がない", "{workload} が使う PVC {name} がありません。", "作成するか、名前を直す。"),
        "storage-class-missing": C(
            "StorageClass がない",
            "PVC {name} が指定する StorageClass {storage_class} がありません。",
            "作成するか、存在するクラスで作り直す。",
        ),
        "volume-mount-failed": C(
            "ボリュームをマウントできない",
            "{kind} {name} のボリュームをマウントできません。",
            "別ノードに付いたままでないか、CSI ドライバーを調べる。",
        ),
        "disk-full": C(
            "ディスクの空きがない",
            "ディスクの空きがなく、コンテナ {container} が書き込めません。",
            "空きを作るか、拡張する。",
        ),
        "node-not-ready": C(
            "ノードが Ready でない",
            "ノード {name} が Ready ではありません（{reason}）。",
            "ノード、kubelet、ランタイムを調べる。",
        ),
        "node-pressure": C(
            "ノードの資源が逼迫している",
            "ノード {name} が {condition} を報告しています。",
            "その資源を空け、必要ならドレインする。",
        ),
        "bad-rollout": C(
            "新しいリビジョンが失敗している",
            "{kind} {name} のリビジョン {current_revision} が失敗しています。前のリビジョンは正常でした。",
            "前のリビジョンに戻す。",
        ),
        "workload-unavailable": C(
            "Ready の Pod が足りない",
            "{kind} {name} の Ready な Pod は {wanted} 個中 {ready} 個です。",
            "Pod の理由を調べる。",
        ),
        "pods-not-created": C(
            "Pod が作成されない",
            "{kind} {name} の Pod の作成が拒否されています。",
            "テンプレートか、拒否しているポリシーを直す。",
        ),
        "service-account-missing": C(
            "ServiceAccount がない", "{workload} が指定する ServiceAccount {name} がありません。", "作成するか、名前を直す。"
        ),
        "job-failed": C("Job が失敗した", "Job {job} が失敗しました（{reason}）。", "ログを見る。失敗した Job は作り直す。"),
        "permission-denied": C("権限がない", "コンテナ {container} の操作が拒否されています。", "ログにある権限を与える。"),
        "certificate-invalid": C(
            "証明書が受け入れられない",
            "コンテナ {container} で TLS 証明書のエラーが出ています。",
            "証明書を更新するか、発行者を信頼する。",
        ),
        "authentication-failed": C(
            "依存先の認証に失敗している",
            "コンテナ {container} の資格情報が依存先に拒否されています。",
            "資格情報を確かめる。更新後は Pod を再起動する。",
        ),
        "hpa-cannot-scale": C(
            "オートスケーラーが働かない",
            "HorizontalPodAutoscaler {name} が働いていません（{reason}）。",
            "metrics-server、対象、request を調べる。",
        ),
    },
)
