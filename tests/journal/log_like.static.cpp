// SPDX-License-Identifier: MIT
// Goal: LogLike accepts its archetype, and rejects types that lack one of its requirements.
#include <belay/journal/log_like.hpp>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalSequenced;

static_assert(explain::log_like<MinimalSequenced>());

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
    std::error_code commit();
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

struct ReportsItsLimit : MinimalSequenced {
    std::size_t record_bytes_max() const noexcept;
};
struct LimitThatThrows : MinimalSequenced {
    std::size_t record_bytes_max() const;
};
struct DurableAckThatThrows : MinimalSequenced {
    std::uint64_t acked_durable() const;
};

static_assert(LogLike<ReportsItsLimit> && detail::HasRecordLimit<ReportsItsLimit>);
static_assert(!LogLike<LimitThatThrows> && !LogLike<DurableAckThatThrows>);
static_assert(!detail::HasRecordLimit<MinimalSequenced>);
static_assert(detail::HasRecordLimit<Journal<sim::Disk>>);
static_assert(!LogLike<IdByValue>);
static_assert(!LogLike<RunOf64Bits>);
static_assert(!LogLike<NoPin>);
static_assert(!LogLike<DurableThatThrows>);
static_assert(!LogLike<AppendWithoutNumber>);
static_assert(!LogLike<SyncThatThrows>);
static_assert(!LogLike<ReadOfCopy>);
static_assert(!LogLike<NoCheck>);
static_assert(!LogLike<AckWithoutAnswer>);
static_assert(!LogLike<NoFailed>);

}  // namespace
