// SPDX-License-Identifier: MIT
/// \file belay/link/detail/supervisor_mistakes.hpp
/// What Supervisor says of arguments that it cannot take.
#pragma once

#include <concepts>  // std::convertible_to, std::same_as

#include <belay/core/observer.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// In place of an observer, where one stands in the place of the options.
struct ObserverWithoutOptions {};

/// What no message of type M can be made of by itself: text where bytes are sent.
template <class T, class M>
concept NoMessage = !std::convertible_to<const T&, const M&>;

template <class T>
SendResult accepts_message_type() noexcept {
    static_assert(
        !std::same_as<T, T>,
        "Supervisor::send: the message must be of the transport's message_type; convert text to "
        "Bytes: 'const auto b = belay::as_bytes(text); link.send({b.begin(), b.end()})'");
    return SendResult::refused;
}
}  // namespace detail

template <class Transport, class Policy, class Observer>
class Supervisor;

template <TransportLike Transport, RuleLike Policy>
class Supervisor<Transport, Policy, detail::ObserverWithoutOptions> {
    static_assert(!sizeof(Transport),
                  "Supervisor: pass SupervisorOptions before the observer: Supervisor{transport, "
                  "policy, SupervisorOptions{}, observer}");

public:
    template <class... A>
    explicit Supervisor(A&&...) {}
    void start() {}
    void stop() {}
};

template <class Transport, class Policy, class Observer>
Supervisor(Transport, Policy, Observer)
    -> Supervisor<Transport, Policy, detail::ObserverWithoutOptions>;

}}  // namespace belay
