"""Chinese (simplified)."""

from knowledge.wording.texts import CodeText as C
from knowledge.wording.texts import Texts

TEXTS = Texts(
    phrases={
        "root_cause": "根因",
        "confidence": "置信度 {percent}%",
        "evidence": "证据",
        "explains": "由此引起",
        "changed": "最近的变更",
        "by": "操作者 {by}",
        "do": "建议处理",
        "risk": "风险：{risk}",
        "about": "约 {seconds} 秒",
        "why": "理由",
        "effect": "预期效果",
        "checked": "已检查",
        "limits": "未能看到的内容",
        "example": "示例，并非本集群",
        "similar": "相似案例",
        "healthy": "{subject} 没有问题。",
        "unknown": "我不知道 {subject} 出了什么问题。",
        "seen": "观察到的现象",
        "cluster": "集群",
        "removed": "（已删除）",
        "absent": "（无）",
        "colon": "：",
        "comma": "、",
        "semicolon": "；",
        "risk_none": "无",
        "risk_low": "低",
        "risk_medium": "中",
        "risk_high": "高",
        "outcome_held": "已解决且稳定",
        "outcome_relapsed": "修复后复发",
        "outcome_provisional": "尚待验证",
        "outcome_unsolved": "未解决",
        "source_object": "对象",
        "source_event": "事件",
        "source_log": "日志",
        "source_metric": "指标",
        "source_change": "变更",
        "source_case": "案例",
    },
    codes={
        "memory-limit-too-low": C(
            "内存限制过低",
            "容器 {container} 需要的内存超过限制 {limit}，被内核反复终止（OOMKilled，重启 {restarts} 次）。",
            "提高内存限制（峰值的 1.3 倍），或回滚到之前的版本。",
        ),
        "out-of-memory-on-node": C(
            "节点内存耗尽",
            "容器 {container} 没有内存限制，节点 {node} 内存耗尽时被内核终止。",
            "为容器设置内存 request 和 limit，并检查节点上的其他用量。",
        ),
        "crash-on-start": C(
            "容器反复崩溃",
            "容器 {container} 以退出码 {exit_code} 结束并被反复重启（{restarts} 次）。",
            "查看上一次运行的日志结尾；若刚发布过，可回滚。",
        ),
        "command-not-found": C(
            "命令无法启动", "容器 {container} 的命令 {command} 在镜像中不存在或不可执行。", "改正命令或回滚。"
        ),
        "env-variable-missing": C(
            "缺少环境变量", "容器 {container} 因环境变量 {env} 未设置而退出。", "设置该变量，或回滚到设置了它的版本。"
        ),
        "env-wrong-value": C(
            "环境变量的值有误", "{kind} {name} 的变量 {key} 的值是 {current}，但没有这个 Service。", "改回正确的地址。"
        ),
        "liveness-probe-wrong": C(
            "存活探针杀死容器",
            "容器 {container} 的 {probe} 失败，kubelet 因此不断重启它，没有其他终止原因。",
            "修正探针的路径、端口或时间。",
        ),
        "readiness-probe-failing": C(
            "就绪探针失败", "容器 {container} 在运行但未就绪，Service 不会向它发送流量。", "手动访问探针地址，查看它缺少什么。"
        ),
        "readiness-probe-wrong": C(
            "就绪探针配置有误", "容器 {container} 的就绪探针访问了它不提供的路径或端口。", "改为容器提供的路径和端口。"
        ),
        "init-container-waiting": C(
            "初始化容器不结束", "初始化容器 {container} 一直在等待，Pod 因此无法启动。", "改正它等待的地址，并设置超时。"
        ),
        "container-create-error": C("容器无法创建", "容器 {container} 无法创建（{reason}）。", "按 kubelet 的消息改正配置。"),
        "sandbox-failed": C("Pod 沙箱无法创建", "节点 {node} 上无法创建 Pod 沙箱。", "检查网络插件和容器运行时。"),
        "pod-evicted": C(
            "Pod 被驱逐", "{kind} {name} 的 Pod 因节点 {node} 资源不足被驱逐。", "设置符合实际用量的 request，并释放节点资源。"
        ),
        "pod-stuck-terminating": C("Pod 无法删除", "Pod {name} 早该消失，但仍然存在。", "检查 finalizer 和所在节点。"),
        "configmap-wrong-value": C(
            "ConfigMap 的值有误",
            "ConfigMap {name} 的 {key} 是 {current}，但没有这个 Service。",
            "改回原来的值，然后重启读取它的工作负载。",
        ),
        "configmap-missing": C(
            "缺少 ConfigMap", "{workload} 需要 ConfigMap {name}，但它在命名空间 {namespace} 中不存在。", "创建它，或改正引用。"
        ),
        "configmap-key-missing": C(
            "ConfigMap 缺少键", "{workload} 需要 ConfigMap {name} 的键 {key}，但没有这个键。", "补上该键，或改正引用。"
        ),
        "secret-missing": C(
            "缺少 Secret",
            "{workload} 需要 Secret {name}，但它在命名空间 {namespace} 中不存在。",
            "从密钥管理处创建它，或改正引用。",
        ),
        "secret-key-missing": C(
            "Secret 缺少键", "{workload} 需要 Secret {name} 的键 {key}，但没有这个键。", "补上该键，或改正引用。"
        ),
        "image-tag-not-found": C(
            "镜像标签不存在", "容器 {container} 的镜像 {image} 在仓库中不存在。", "改回之前的镜像，或使用存在的标签。"
        ),
        "image-pull-unauthorized": C(
            "拉取镜像未授权", "仓库拒绝拉取容器 {container} 的镜像 {image}。", "更新拉取凭据（imagePullSecrets）。"
        ),
        "image-pull-rate-limited": C("拉取镜像被限流", "仓库对镜像 {image} 的拉取限流。", "使用登录后的拉取或镜像缓存。"),
        "image-registry-unreachable": C(
            "无法连接镜像仓库", "节点无法连接镜像 {image} 的仓库。", "检查 DNS、代理、证书和网络。"
        ),
        "image-name-invalid": C("镜像名称格式错误", "容器 {container} 的镜像名 {image} 无法解析。", "改正镜像名称。"),
        "image-architecture-mismatch": C(
            "镜像不支持该架构", "镜像没有适合该节点架构的版本。", "使用多架构镜像，或限定节点架构。"
        ),
        "image-pull-failed": C("镜像拉取失败", "容器 {container} 的镜像 {image} 拉取失败。", "在节点上尝试拉取并查看错误。"),
        "insufficient-cpu": C(
            "CPU 不足", "容器 {container} 请求 {request} CPU，没有节点有这么多空闲。", "降低 request，或增加节点。"
        ),
        "insufficient-memory": C(
            "内存不足", "容器 {container} 请求 {request} 内存，没有节点有这么多空闲。", "降低 request，或增加节点。"
        ),
        "node-selector-unmatched": C(
            "没有匹配的节点", "{kind} {name} 的节点选择器或亲和性不匹配任何节点。", "改正选择器，或给节点加标签。"
        ),
        "taint-not-tolerated": C(
            "污点使 Pod 无法调度", "合适的节点都有 {kind} {name} 不容忍的污点。", "添加容忍，或去掉过期的污点。"
        ),
        "pod-affinity-unsatisfied": C(
            "Pod 亲和性无法满足", "{kind} {name} 的亲和、反亲和或分布规则排除了所有节点。", "放宽规则，或增加节点。"
        ),
        "volume-node-conflict": C(
            "存储卷在其他可用区", "{kind} {name} 的存储卷只能在 Pod 不能运行的节点上使用。", "让 Pod 在卷所在区域运行。"
        ),
        "unschedulable": C("Pod 无法调度", "调度器为 {kind} {name} 找不到节点。", "按调度器的消息放宽限制。"),
        "quota-exceeded": C(
            "超出配额",
            "ResourceQuota {quota} 拒绝了 {workload} 的 Pod：请求 {requested}，已用 {used}，上限 {limited}。",
            "提高配额，或降低 request。",
        ),
        "service-selector-mismatch": C(
            "Service 选择器不匹配",
            "Service {name} 选择 {selector}，没有 Pod 匹配；{workload} 的 Pod 标签是 {labels}。",
            "改正 Service 的选择器。",
        ),
        "service-port-mismatch": C(
            "Service 端口有误", "Service {name} 转发到端口 {target_port}，但 Pod 声明的是 {declared}。", "改正 targetPort。"
        ),
        "service-missing": C(
            "缺少 Service", "有工作负载调用 Service {name}，但它在命名空间 {namespace} 中不存在。", "创建 Service，或改正地址。"
        ),
        "service-no-endpoints": C("Service 没有就绪端点", "Service {name} 后面没有就绪的 Pod。", "让其后的 Pod 就绪。"),
        "dependency-unreachable": C("依赖无法访问", "容器 {container} 无法访问 {host}。", "检查该依赖、端口和网络策略。"),
        "upstream-errors": C("上游返回错误", "{kind} {name} 的日志中有被调用服务返回的错误。", "查看它调用的服务。"),
        "ingress-backend-missing": C(
            "Ingress 后端不存在", "Ingress {name} 指向不存在的 Service {service}。", "改正后端，或创建 Service。"
        ),
        "port-in-use": C("端口被占用", "容器 {container} 要监听的端口已被占用。", "换一个端口。"),
        "network-policy-blocks": C(
            "网络策略阻断连接",
            "NetworkPolicy {name} 不允许 {workload} 访问 {to}，连接因此超时。",
            "在该策略中放行，先问清制定者。",
        ),
        "scaled-to-zero": C("工作负载缩为零", "{kind} {name} 没有副本，而其他服务需要它。", "确认后恢复副本数。"),
        "pvc-pending": C("存储卷声明未绑定", "声明 {name} 一直没有绑定。", "检查 StorageClass 和供应器。"),
        "pvc-missing": C("缺少存储卷声明", "{workload} 使用的声明 {name} 不存在。", "创建声明，或改正名称。"),
        "storage-class-missing": C(
            "缺少 StorageClass", "声明 {name} 指定的 StorageClass {storage_class} 不存在。", "创建它，或用存在的类重建声明。"
        ),
        "volume-mount-failed": C("存储卷无法挂载", "{kind} {name} 的存储卷无法挂载。", "检查卷是否仍挂在其他节点及 CSI 驱动。"),
        "disk-full": C("磁盘已满", "容器 {container} 因磁盘已满无法写入。", "释放空间或扩容。"),
        "node-not-ready": C("节点未就绪", "节点 {name} 未就绪（{reason}）。", "检查节点、kubelet 和容器运行时。"),
        "node-pressure": C("节点资源紧张", "节点 {name} 报告 {condition}。", "释放该资源，必要时排空节点。"),
        "bad-rollout": C(
            "新版本失败", "{kind} {name} 的版本 {current_revision} 失败，而之前的版本正常。", "回滚到之前的版本。"
        ),
        "workload-unavailable": C(
            "就绪的 Pod 不足", "{kind} {name} 只有 {ready}/{wanted} 个 Pod 就绪。", "查看其 Pod 的原因。"
        ),
        "pods-not-created": C("Pod 未能创建", "{kind} {name} 的 Pod 被拒绝创建。", "改正模板，或改正拒绝它的策略。"),
        "service-account-missing": C(
            "缺少 ServiceAccount", "{workload} 指定的 ServiceAccount {name} 不存在。", "创建它，或改正名称。"
        ),
        "job-failed": C("Job 失败", "Job {job} 失败（{reason}）。", "查看其日志；失败的 Job 需要重建。"),
        "permission-denied": C("权限不足", "容器 {container} 被拒绝执行其操作。", "授予日志中所述的权限。"),
        "certificate-invalid": C("证书不被接受", "容器 {container} 遇到无效的 TLS 证书。", "更新证书，或信任其签发者。"),
        "authentication-failed": C("依赖认证失败", "容器 {container} 的凭据被依赖拒绝。", "检查凭据；轮换后需重启 Pod。"),
        "hpa-cannot-scale": C(
            "自动扩缩无法工作", "HorizontalPodAutoscaler {name} 无法工作（{reason}）。", "检查 metrics-server、目标和 request。"
        ),
    },
)
