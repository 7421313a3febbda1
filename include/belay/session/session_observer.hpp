// SPDX-License-Identifier: MIT
/// \file belay/session/session_observer.hpp
/// The hooks of a session's observer.
///
/// A Session has these hooks, each of which may leave out the session:
/// - `on_state(auto& session, const Transition&)`
/// - `on_accepted(auto& session, std::uint64_t up_to)`: operations are durable and will be
///   delivered.
/// - `on_acknowledged(auto& session, std::uint64_t up_to)`: operations are delivered.
/// - `on_blocked(auto& session, Blocked, const BlockedDetails&)`: a loss, about which the session
///   must not guess, has stopped it.
/// - `on_journal_replaced(auto& session, const BlockedDetails&)`: the receiver replaced another
///   journal of this sender by this one.
/// - `on_stalled(auto& session)`: the session is connected, but made no progress for a long time.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/observer.hpp>
#include <belay/link/status.hpp>
#include <belay/session/blocked.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnAccepted, on_accepted);
BELAY_DETAIL_HOOK(OnAcknowledged, on_acknowledged);
BELAY_DETAIL_HOOK(OnBlocked, on_blocked);
BELAY_DETAIL_HOOK(OnJournalReplaced, on_journal_replaced);
BELAY_DETAIL_HOOK(OnStalled, on_stalled);

/// The hooks of a Session S.
template <class S>
struct SessionHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Accepted = Hook<OnAccepted, S, std::uint64_t>;
    using Acknowledged = Hook<OnAcknowledged, S, std::uint64_t>;
    using IsBlocked = Hook<OnBlocked, S, Blocked, const BlockedDetails&>;
    using JournalReplaced = Hook<OnJournalReplaced, S, const BlockedDetails&>;
    using Stalled = Hook<OnStalled, S>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Session: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& session' in front of that");
        static_assert(Accepted::template right<O>,
                      "Session: the observer's on_accepted must be 'on_accepted(std::uint64_t)', "
                      "or have 'auto& session' in front of that");
        static_assert(Acknowledged::template right<O>,
                      "Session: the observer's on_acknowledged must be 'on_acknowledged("
                      "std::uint64_t)', or have 'auto& session' in front of that");
        static_assert(IsBlocked::template right<O>,
                      "Session: the observer's on_blocked must be 'on_blocked(belay::Blocked, "
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(JournalReplaced::template right<O>,
                      "Session: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(Stalled::template right<O>,
                      "Session: the observer's on_stalled must be 'on_stalled()', or "
                      "'on_stalled(auto& session)'");
        static_assert(
            has_any_hook_of<O, State, Accepted, Acknowledged, IsBlocked, JournalReplaced, Stalled>,
            "Session: the observer has no hook: it needs one of on_state, on_accepted, "
            "on_acknowledged, on_blocked, on_journal_replaced, on_stalled. Derive an observer "
            "without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
