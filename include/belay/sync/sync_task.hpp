// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_task.hpp
/// process_with_retry for coroutines: `co_await process_with_retry(processor, ...)`.
#pragma once

#include <span>         // std::span
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/call/retry_task.hpp>
#include <belay/sync/sync_processor.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Awaits what SyncProcessor::process_with_retry does: other coroutines run in the waits, also with
/// batches of the same processor.
///
///     SyncResult result =
///         co_await process_with_retry(processor, "doc-1", operations, policies::sync(), sleeper);
///
/// Session, operations, processor and sleeper must outlive it; policy and `stop` are copied.
/// Destroying it in a wait ends it: what was decided until then is.
/// Throws: what process_with_retry throws.   Thread safety: goes on where the sleeper does.
template <class Processor, RuleLike Policy, AsyncSleeperLike Sleeper,
          StopTokenLike Stop = NeverStops>
[[nodiscard]] Task<SyncResult<typename Processor::operation_type>> process_with_retry(
    Processor& processor, std::string_view session,
    std::span<const typename Processor::operation_type> operations, Policy policy, Sleeper& sleeper,
    Stop stop = {}) {
    using Op = typename Processor::operation_type;
    const Instant since = sleeper.now();
    detail::SyncBatch<Op> batch{session, operations};
    // Coroutines' parameters live in their frames; a lambda's captures do not.
    const auto attempt = [](Processor& by, detail::SyncBatch<Op>& of,
                            Attempt number) -> Task<std::error_code> {
        co_return detail::SyncProcessorAccess::attempt(by, of, number);
    };
    auto run = retry(
        policy, sleeper, [&](const Attempt& number) { return attempt(processor, batch, number); },
        stop);
    const std::error_code why = co_await std::move(run);
    co_return detail::SyncProcessorAccess::finished(processor, batch.finish(why),
                                                    elapsed(since, sleeper.now()));
}

}}  // namespace belay
