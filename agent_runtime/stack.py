"""The heavy part: LangChain, the model endpoint, the case store. Imported behind readiness, in a thread."""

from typing import Any

from agent_runtime.models.ask import Candidate
from agent_runtime.models.endpoint import endpoints
from agent_runtime.spending import Upkeep
from agent_runtime.turns.step import TurnStep
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from knowledge.cases import CaseStore
from knowledge.embeddings import Embedder, choose_embedder


class Stack:
    """What turns need, built once a process."""

    def __init__(self, plane: ControlPlane, cases: CaseStore | None) -> None:
        self.chain = tuple(Candidate(model) for model in endpoints(plane.settings))
        self._step = TurnStep(plane=plane, chain=self.chain, upkeep=Upkeep(plane), cases=cases)

    async def turn(self, turn: str) -> None:
        await self._step.run(turn)

    def described(self) -> list[dict[str, Any]]:
        """For admins: name, where it is, its price, what was learnt of its manner, how long it is left alone and why."""
        return [
            {
                "name": candidate.name,
                "endpoint": candidate.model.line.url,
                "price": candidate.model.spec.price.model_dump() if candidate.model.spec.price else None,
                "context_tokens": candidate.model.spec.context_tokens,
                "streams": candidate.model.line.manner.stream,
                "native_tools": candidate.model.line.manner.native_tools,
                "left_out": sorted(candidate.model.line.manner.left_out),
                "left_alone_s": round(candidate.breaker.open_for_s),
                "why": candidate.breaker.why,
            }
            for candidate in self.chain
        ]

    async def close(self) -> None:
        for candidate in self.chain:
            await candidate.model.line.close()


def case_store(settings: Settings) -> tuple[CaseStore, Embedder | None]:
    """Opens nothing yet: ChromaDB and the vectors load at the first case. The caller closes both."""
    embedder = choose_embedder(
        base_url=settings.openai_base_url,
        api_key=settings.api_key(),
        # An endpoint for vectors would read cases with the names that models are not to see.
        model=None if settings.pseudonyms else settings.embeddings_model or None,
    )
    return CaseStore(settings.chroma_url or settings.data_dir / "cases", embedder), embedder
