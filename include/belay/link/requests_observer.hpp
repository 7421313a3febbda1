// SPDX-License-Identifier: MIT
/// \file belay/link/requests_observer.hpp
/// The hooks of the observer of a Requests.
///
/// A Requests has these hooks, each of which may leave out the machine:
/// - `on_state(auto& requests, const Transition&)`
/// - `on_message(auto& requests, message_type [, Lane])`: a message that is not an answer.
/// - `on_unmatched(auto& requests, message_type)`: an answer to no open question. It came after the
///   deadline, or twice, or its id is unknown. With answers in order, one for which there was never
///   a question ends the connection.
///
/// Hooks may call every function of the machine, and may destroy it. An exception from a hook
/// leaves the `advance` that ran it.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/link/observer.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnUnmatched, on_unmatched);

/// The hooks of a Requests S of messages M.
template <class S, class M>
struct RequestsHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Unmatched = Hook<OnUnmatched, S, M>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Requests: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& requests' in front of that");
        static_assert(Message::template right<O>,
                      "Requests: the observer's on_message must be 'on_message(message_type)', or "
                      "have 'auto& requests' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Unmatched::template right<O>,
                      "Requests: the observer's on_unmatched must be "
                      "'on_unmatched(message_type)', or have 'auto& requests' in front of that");
        static_assert(has_any_hook_of<O, State, Message, Unmatched>,
                      "Requests: the observer has no hook: it needs one of on_state, on_message, "
                      "on_unmatched. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
