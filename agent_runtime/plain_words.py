"""Words that say nothing of whose cluster it is: Kubernetes' own, kubectl's, our tools', and those of catalogue codes."""

import re
from functools import cache

from knowledge.diagnosis.catalogue import CATALOGUE

_WORDS = """
access active address addresses admission affinity all allocatable allowed amd64 analyze and annotation annotations
answer answers any api apis application apply args arm64 as at attach auth autoscaler autoscaling available back
backoff bad batch because before best binding blocked body bound but by call called calls can cannot capacity case
cases cause certificate change changed changes check claim class cluster clusterip clusterrole code command commands
complete completed config configmap configmaps configuration container containers control controller cordon cordoned
count cpu crash crashloopbackoff create created critical cron cronjob cronjobs csi current daemon daemonset daemonsets
data date debug default delete deleted denied deploy deployed deployment deployments describe desired details diagnose
diagnosis digest disk dns down drain drained dry emptydir endpoint endpoints env environment error errors event events
evicted exceeded exec exist exists exit explain failed failing failure false field finalizers finished fix for
forbidden found from generation get graceful group groups grpc ha has hash health healthy help high history host hosts
hpa http https id if image imagepullbackoff images in ingress ingresses init initial instance invalid is it item items
job jobs json key keys kind kinds kube kube-node-lease kube-public kube-system kubectl kubelet kubernetes label labels
last latest limit limits line lines list live liveness load loadbalancer log logging logs low lower map max maximum
memory message messages metadata metric metrics min minutes missing mode model mount name named names namespace
namespaces network networkpolicy never new no node nodeport nodes none normal not nothing now null number object
objects of ok on oom oomkilled open optional or order other out over owner ownerreferences path pause pending
permission persistent persistentvolume persistentvolumeclaim phase pid pod pods podtemplate policy port ports
preemption present previous priority probe process prometheus promql propose provisioner pull pv pvc pvcs query quota
range rate read readiness readonly ready reason recent record refused release remediation remove replica replicas
replicaset replicasets report request requests required resource resourcequota resources response restart restarted
restarts result resume retry revision role rolebinding rollback rolling rollout route rule rules run running runtime
same scale schedule scheduled scheduling scope sec seconds secret secrets security see select selector serve server
service serviceaccount services session set should show sidecar size source spec ssl start started startup state
stateful statefulset statefulsets status step stop storage storageclass succeeded success summary suspend tag taint
taints target tcp template terminated terminating test text the this time timeout tls to token tolerations tool
tool_call tools top total traffic true type udp undo unhealthy unknown unschedulable until up update updated upgrade
uri url usage use used uses value values version volume volumes wait waiting warning was watch what when where which
who why will with workload workloads write wrong yaml you zone
"""


_RESULT = re.compile(r"r\d+")


@cache
def _plain() -> frozenset[str]:
    codes = {word for code in CATALOGUE for word in (str(code), *re.split(r"-", str(code)))}
    return frozenset(_WORDS.split()) | codes


def is_plain(word: str) -> bool:
    """`word` in lower case. Ids of tool results (r1, r2) are ours too."""
    return word in _plain() or _RESULT.fullmatch(word) is not None
