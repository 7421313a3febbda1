// SPDX-License-Identifier: MIT
/// \file belay/queue/dead_letters.hpp
/// KeepDead, and how what nobody can use is put aside.
#pragma once

#include <concepts>      // std::same_as
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI {

/// No storage for dead letters: they stay where they are. In a WorkQueue in its log, until they are
/// revived or purged; in an Encoded the first, until they are acknowledged.
struct KeepDead {};

namespace detail {

template <class D, class Answer>
concept TakesLetters = requires(D& d, Bytes&& letter) {
    { d.try_push(static_cast<Bytes&&>(letter)) } -> std::same_as<Answer>;
};
// Of other answers nobody knows whether true means taken, or refused.
template <class D>
concept TakesDead =
    std::same_as<D, KeepDead> || TakesLetters<D, bool> || TakesLetters<D, std::error_code>;

/// Whether a storage for dead letters has taken this one.
template <TakesDead DeadLetters>
[[nodiscard]] bool push_letter(DeadLetters& letters, BytesView body) {
    if constexpr (std::same_as<DeadLetters, KeepDead>) {
        return false;
    } else if constexpr (TakesLetters<DeadLetters, bool>) {
        return letters.try_push(Bytes(body.begin(), body.end()));
    } else {
        return !letters.try_push(Bytes(body.begin(), body.end()));
    }
}

/// Whether what a storage for dead letters has taken is durable now, if it can be.
template <TakesDead DeadLetters>
[[nodiscard]] bool sync_letters(DeadLetters& letters) {
    // A journal's `commit` is not enough in Flush::none.
    if constexpr (requires {
                      { letters.flush() } -> std::same_as<std::error_code>;
                  }) {
        return !letters.flush();
    } else if constexpr (requires {
                             { letters.commit() } -> std::same_as<std::error_code>;
                         }) {
        return !letters.commit();
    } else {
        return true;
    }
}

/// Whether the letter is in the storage now, durably if it can be. It is pushed once only: `sent`
/// says whether it was, also by an earlier call after which it was not durable.
///
/// Throws: what the storage throws.
template <TakesDead DeadLetters>
[[nodiscard]] bool send_letter(DeadLetters& letters, BytesView body, bool& sent) {
    sent = sent || push_letter(letters, body);
    return sent && sync_letters(letters);
}

}  // namespace detail
}}  // namespace belay
