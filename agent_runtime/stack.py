"""The heavy part: LangChain, the model endpoint, the case store. Imported behind readiness, in a thread."""

from langchain_core.language_models import BaseChatModel

from agent_runtime.models.endpoint import endpoint
from agent_runtime.turns.step import TurnStep
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from knowledge.cases import CaseStore
from knowledge.embeddings import Embedder, choose_embedder


class Stack:
    """What turns need, built once a process."""

    def __init__(self, plane: ControlPlane, cases: CaseStore | None) -> None:
        self._model: BaseChatModel | None = endpoint(plane.settings)
        name = plane.settings.model if self._model is not None else "offline"
        self._step = TurnStep(plane=plane, endpoint=self._model, model_name=name, cases=cases)

    async def turn(self, turn: str) -> None:
        await self._step.run(turn)


def case_store(settings: Settings) -> tuple[CaseStore, Embedder | None]:
    """Opens nothing yet: ChromaDB and the vectors load at the first case. The caller closes both."""
    embedder = choose_embedder(
        base_url=settings.openai_base_url, api_key=settings.api_key(), model=settings.embeddings_model or None
    )
    return CaseStore(settings.chroma_url or settings.data_dir / "cases", embedder), embedder
