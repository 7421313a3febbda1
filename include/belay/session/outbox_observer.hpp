// SPDX-License-Identifier: MIT
/// \file belay/session/outbox_observer.hpp
/// The hooks of an outbox's observer.
///
/// An Outbox has these hooks, each of which may leave out the outbox:
/// - `on_state(auto& outbox, const Transition&)`
/// - `on_message(auto& outbox, message_type [, Lane])`: a message of the server.
/// - `on_sent(auto& outbox, std::uint64_t number, const message_type&)`: a message was handed to
///   the connection. With at_least_once it has the same number each time that it is sent.
/// - `on_unsent(auto& outbox, std::uint64_t number, message_type)`: the transport can never carry
///   the message, so the outbox does not send it again on this connection.
/// - `on_undeliverable(auto& outbox, std::uint64_t number, const message_type&)`: the peer has
///   closed OutboxOptions::deliveries_max connections on which this message was alone. Nothing is
///   dropped. To drop it, store it elsewhere, and acknowledge the number.
///
/// Hooks may call every function of the outbox, and may destroy it. An exception from a hook leaves
/// the `advance` that ran it.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/observer.hpp>
#include <belay/link/observer.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnSent, on_sent);
BELAY_DETAIL_HOOK(OnUndeliverable, on_undeliverable);

/// The hooks of an Outbox S of messages M.
template <class S, class M>
struct OutboxHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Sent = Hook<OnSent, S, std::uint64_t, const M&>;
    using Unsent = Hook<OnUnsent, S, std::uint64_t, M>;
    using Undeliverable = Hook<OnUndeliverable, S, std::uint64_t, const M&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Outbox: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& outbox' in front of that");
        static_assert(Message::template right<O>,
                      "Outbox: the observer's on_message must be 'on_message(message_type)', or "
                      "have 'auto& outbox' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Sent::template right<O>,
                      "Outbox: the observer's on_sent must be 'on_sent(std::uint64_t number, const "
                      "message_type&)', or have 'auto& outbox' in front of that");
        static_assert(Unsent::template right<O>,
                      "Outbox: the observer's on_unsent must be 'on_unsent(std::uint64_t number, "
                      "message_type)', or have 'auto& outbox' in front of that");
        static_assert(Undeliverable::template right<O>,
                      "Outbox: the observer's on_undeliverable must be "
                      "'on_undeliverable(std::uint64_t number, const message_type&)', or have "
                      "'auto& outbox' in front of that");
        static_assert(has_any_hook_of<O, State, Message, Sent, Unsent, Undeliverable>,
                      "Outbox: the observer has no hook: it needs one of on_state, on_message, "
                      "on_sent, on_unsent, on_undeliverable. Derive an observer without hooks from "
                      "belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
