// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/remote_health.hpp
/// RemoteHealth: whether a bridge's remote is available, and when to try again.
#pragma once

#include <belay/core/random.hpp>
#include <belay/link/status.hpp>
#include <belay/sync/bridge_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using OutageWait = decltype(BridgeOptions::outage_wait);

/// A plain value that decides by the results of calls.
///
/// The scheduling depends on calls, and the view on attempts.
class RemoteHealth {
public:
    using Kind = Connectivity::Kind;

    explicit RemoteHealth(const OutageWait& wait) noexcept : wait_{wait} {}

    void start(Instant now) noexcept { view_.since = now; }
    /// The remote has answered, possibly with a rejection.   Returns: whether the view has changed.
    bool answered(Turn& turn) noexcept {
        away_ = false;
        if (view_.kind == Kind::connected) return false;
        wait_.succeeded(turn);
        view_ = {Kind::connected, turn.now, {}, 0};
        return true;
    }
    /// An attempt of a call has failed because of the remote. The call may still succeed, but a
    /// remote that hangs must not be shown as connected until all attempts of a call are over.
    void attempt_failed(const Failure& failure, Instant now) noexcept {
        if (view_.kind == Kind::connected) {
            view_ = {Kind::disconnected, now, failure, 0};
            return;
        }
        if (view_.reason.cause != Cause::none) {
            view_.kind = Kind::reconnecting;
            if (view_.attempt != ~std::uint32_t{0}) ++view_.attempt;
        }
        view_.reason = failure;
    }
    /// The policy has given up a call because of the remote.
    void failed(const Failure& failure, Turn& turn) noexcept {
        retry_at_ = wait_.failed(failure, turn).until;
        away_ = true;
    }
    /// The bridge has ended.
    void end(Instant now) noexcept { view_ = {Kind::disconnected, now, {Cause::planned}, 0}; }

    /// Returns whether no call is likely to succeed soon.
    [[nodiscard]] bool away() const noexcept { return away_; }
    /// Returns when the next call may begin, while the remote is unavailable.
    [[nodiscard]] Instant retry_at() const noexcept { return retry_at_; }
    [[nodiscard]] const Connectivity& view() const noexcept { return view_; }

private:
    OutageWait wait_;
    Connectivity view_{};
    Instant retry_at_ = always;
    bool away_ = false;
};

/// Whether a failure belongs to the session that was requested, and not to the remote.
[[nodiscard]] constexpr bool is_of_session(Cause cause) noexcept {
    return cause >= Cause::protocol && cause <= Cause::forbidden;
}

}}}  // namespace belay::detail
