// SPDX-License-Identifier: MIT
// Goal: SequencedLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/journal/sequenced_like.hpp>

#include "support/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalSequenced;

static_assert(explain_sequenced_like<MinimalSequenced>());

namespace {

struct IdByValue : MinimalSequenced {
    Id journal_id() const noexcept;
};
struct RunOf64Bits : MinimalSequenced {
    std::uint64_t run() const noexcept;
};
struct NoPin : MinimalSequenced {
    std::error_code pin_store(const Id&) = delete;
};
struct DurableThatThrows : MinimalSequenced {
    std::uint64_t durable() const;
};
struct AppendWithoutNumber : MinimalSequenced {
    std::error_code append(BytesView) noexcept;
};
struct SyncThatThrows : MinimalSequenced {
    std::error_code sync();
};
struct ReadOfCopy : MinimalSequenced {
    Result<Bytes> read(std::uint64_t);
};
struct NoCheck : MinimalSequenced {
    Result<std::uint64_t> check(std::uint64_t) = delete;
};
struct AckWithoutAnswer : MinimalSequenced {
    void ack(std::uint64_t) noexcept;
};
struct NoFailed : MinimalSequenced {
    std::error_code failed() const = delete;
};

static_assert(!SequencedLike<IdByValue>);
static_assert(!SequencedLike<RunOf64Bits>);
static_assert(!SequencedLike<NoPin>);
static_assert(!SequencedLike<DurableThatThrows>);
static_assert(!SequencedLike<AppendWithoutNumber>);
static_assert(!SequencedLike<SyncThatThrows>);
static_assert(!SequencedLike<ReadOfCopy>);
static_assert(!SequencedLike<NoCheck>);
static_assert(!SequencedLike<AckWithoutAnswer>);
static_assert(!SequencedLike<NoFailed>);

}  // namespace
