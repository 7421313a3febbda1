// SPDX-License-Identifier: MIT
/// \file belay/session/session.hpp
/// Session: delivers each operation of a durable queue exactly once, in order, over any outages.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move

#include <belay/session/detail/basic_session.hpp>
#include <belay/session/detail/planted_fault.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Sends operations to a Receiver, each exactly once and in order, whatever fails on the way.
///
/// `send` takes an operation; it is durable, and will be delivered, when on_accepted(up_to) says so
/// or commit() has returned; one flush serves all operations of a turn. The session owns the
/// supervisor of its connection and the queue; it does not drop: a queue whose overflow policy does
/// is refused.
///
/// What no protocol can mend (a side lost what it had made durable) is detected, stops the session,
/// and is reported by on_blocked with the facts; the queue goes on taking operations up to its
/// limit.
///
/// Its members are in detail/basic_session.hpp.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Source:        docs/session-protocol.md.
template <class Transport, class Policy, class Queue, class Observer = NoObserver>
class Session : public detail::BasicSession<Session<Transport, Policy, Queue, Observer>,
                                            detail::NoFault, Transport, Policy, Queue, Observer> {
public:
    Session(Transport transport, Policy policy, Queue queue, SessionOptions options,
            Observer observer = {})
        : Session::BasicSession{std::move(transport), std::move(policy), std::move(queue),
                                std::move(options), std::move(observer)} {}
    /// Does not compile: a session needs an id.
    template <class... Other>
        requires(sizeof...(Other) <= 1 &&
                 !(std::same_as<std::remove_cvref_t<Other>, SessionOptions> || ...))
    Session(Transport transport, Policy policy, Queue queue, Other&&...)
        : Session{std::move(transport), std::move(policy), std::move(queue), SessionOptions{}} {
        static_assert(sizeof...(Other) > 1,
                      "Session: SessionOptions follow the queue, for a session needs an id: "
                      "Session{transport, policy, queue, SessionOptions{.id = id}}");
    }
};

template <class Transport, class Policy, class Queue>
Session(Transport, Policy, Queue, SessionOptions) -> Session<Transport, Policy, Queue>;
template <class Transport, class Policy, class Queue, class Observer>
Session(Transport, Policy, Queue, SessionOptions, Observer)
    -> Session<Transport, Policy, Queue, Observer>;

}}  // namespace belay
