// SPDX-License-Identifier: MIT
/// \file belay/link/observer.hpp
/// - `on_state(auto& link, const Transition&)`
/// - `on_message(auto& link, message_type [, Lane])`
/// - `on_writable(auto& link, Lane)`
/// - `on_unsent(auto& link, message_type, Lane)`
/// - with a Heartbeat, `on_round_trip(auto& link, Duration, Lane)`
/// - with a Heartbeat, `on_policy_conflict(auto& link, Duration, Lane)`
///
/// Each hook may leave out the supervisor `link`. Hooks run on the home thread, one at a time, and
/// never under a lock. They may call every command of the supervisor, and may destroy it. An
/// exception from a hook leaves the `advance` that ran it.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnRoundTrip, on_round_trip);
BELAY_DETAIL_HOOK(OnPolicyConflict, on_policy_conflict);
BELAY_DETAIL_HOOK(LookAtWaiters, look_at_waiters);

/// on_message with the parameters A, the last of which is the message. The lane follows them; the
/// observer may leave it out.
template <class S, class... A>
struct MessageHook {
    using Long = Hook<OnMessage, S, A..., Lane>;
    using Short = Hook<OnMessage, S, A...>;
    template <class O>
    static constexpr bool callable_on =
        Long::template callable_on<O> || Short::template callable_on<O>;
    template <class O>
    static constexpr bool right =
        Long::template callable_on<O> || !Short::template callable_on<O> ? Long::template right<O>
                                                                         : Short::template right<O>;
    /// The lane comes first, so that the others are a pack.
    template <class O, class... B>
    static constexpr void call(O& o, S& machine, Lane lane, B&&... b) {
        if constexpr (Long::template callable_on<O>) {
            Long::call(o, machine, static_cast<B&&>(b)..., Lane{lane});
        } else {
            Short::call(o, machine, static_cast<B&&>(b)...);
        }
    }
};

/// The hooks of a Supervisor S of messages M.
template <class S, class M>
struct SupervisorHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Writable = Hook<OnWritable, S, Lane>;
    using Unsent = Hook<OnUnsent, S, M, Lane>;
    using RoundTrip = Hook<OnRoundTrip, S, Duration, Lane>;
    using PolicyConflict = Hook<OnPolicyConflict, S, Duration, Lane>;
    using Look = Hook<LookAtWaiters, S>;  // only LinkAwaits has it

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Supervisor: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& link' in front of that");
        static_assert(Message::template right<O>,
                      "Supervisor: the observer's on_message must be 'on_message(message_type)', "
                      "or have 'auto& link' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Writable::template right<O>,
                      "Supervisor: the observer's on_writable must be 'on_writable(belay::Lane)', "
                      "or have 'auto& link' in front of that");
        static_assert(Unsent::template right<O>,
                      "Supervisor: the observer's on_unsent must be 'on_unsent(message_type, "
                      "belay::Lane)', or have 'auto& link' in front of that");
        static_assert(RoundTrip::template right<O>,
                      "Supervisor: the observer's on_round_trip must be "
                      "'on_round_trip(belay::Duration, belay::Lane)', or have 'auto& link' in "
                      "front of that");
        static_assert(PolicyConflict::template right<O>,
                      "Supervisor: the observer's on_policy_conflict must be "
                      "'on_policy_conflict(belay::Duration, belay::Lane)', or have 'auto& link' "
                      "in front of that");
        static_assert(
            has_any_hook_of<O, State, Message, Writable, Unsent, RoundTrip, PolicyConflict>,
            "Supervisor: the observer has no hook: it needs one of on_state, on_message, "
            "on_writable, on_unsent, on_round_trip, on_policy_conflict. Derive an "
            "observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
