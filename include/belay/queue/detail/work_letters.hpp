// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/work_letters.hpp
/// KeepDead, and what a WorkQueue wants of storages for dead letters and of observers.
#pragma once

#include <concepts>      // std::same_as
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/queue/lease.hpp>

namespace belay::inline BELAY_ABI {

/// Keeps dead letters in the queue's own log, until they are revived or purged.
struct KeepDead {};

namespace detail {

template <class O>
concept HearsOfDead = requires(O& o, const DeadWork& dead) { o.on_dead(dead); };
template <class O>
concept HearsOfDropped = requires(O& o, const DeadWork& dead) { o.on_dropped(dead); };

template <class D, class Answer>
concept TakesLetters = requires(D& d, Bytes&& letter) {
    { d.try_push(static_cast<Bytes&&>(letter)) } -> std::same_as<Answer>;
};
// Of other answers nobody knows whether true means taken, or refused.
template <class D>
concept TakesDead =
    std::same_as<D, KeepDead> || TakesLetters<D, bool> || TakesLetters<D, std::error_code>;

/// Whether a storage for dead letters has this one now, durably if it can.
template <TakesDead DeadLetters>
[[nodiscard]] bool bury_in(DeadLetters& letters, const Bytes& body) {
    if constexpr (std::same_as<DeadLetters, KeepDead>) {
        return false;
    } else {
        bool taken;
        if constexpr (TakesLetters<DeadLetters, bool>) {
            taken = letters.try_push(Bytes{body});
        } else {
            taken = !letters.try_push(Bytes{body});
        }
        if constexpr (requires {
                          { letters.sync() } -> std::same_as<std::error_code>;
                      }) {
            taken = taken && !letters.sync();
        }
        return taken;
    }
}

}  // namespace detail
}  // namespace belay::inline BELAY_ABI
