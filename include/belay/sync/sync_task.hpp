// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_task.hpp
/// process_with_retry for coroutines: `co_await process_with_retry(processor, ...)`.
#pragma once

#include <exception>    // std::terminate
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/call/retry_task.hpp>
#include <belay/sync/sync_processor.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Runs SyncProcessor::process_with_retry as a coroutine.
///
/// During its waits other coroutines run, also with batches of the same processor.
///
///     SyncResult result =
///         co_await process_with_retry(processor, "doc-1", operations, policies::sync(), sleeper);
///
/// Session, operations, processor and sleeper must outlive it; policy and `stop` are copied. If you
/// destroy it during a wait, it ends; decided operations stay decided.
/// Throws: what process_with_retry throws.   Thread safety: continues on the thread of the sleeper.
template <class Processor, RuleLike Policy, AsyncSleeperLike Sleeper,
          StopTokenLike Stop = NeverStops>
[[nodiscard]] Task<SyncResult<typename Processor::operation_type>> process_with_retry(
    Processor& processor, std::string_view session,
    std::span<const typename Processor::operation_type> operations, Policy policy, Sleeper& sleeper,
    Stop stop = {}) {
    using Op = typename Processor::operation_type;
    const Instant since = sleeper.now();
    detail::SyncBatch<Op> batch{session, operations};
    // Parameters of a coroutine are stored in its frame; captures of a lambda are not.
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
/// Does not compile, because the policy or the sleeper lacks something.
template <class Processor, class Policy, class Sleeper, class... Rest>
    requires(!RuleLike<Policy> || !AsyncSleeperLike<Sleeper>)
Task<SyncResult<typename Processor::operation_type>> process_with_retry(
    Processor&, std::string_view, std::span<const typename Processor::operation_type>, Policy,
    Sleeper&, Rest...) {
    static_assert(RuleLike<Policy>,
                  "process_with_retry: the fourth argument must be a policy, such as "
                  "belay::policies::sync(); options go to the constructor of the processor");
    if constexpr (RuleLike<Policy>) static_assert(explain::async_sleeper_like<Sleeper>());
    std::terminate();
}

}}  // namespace belay
