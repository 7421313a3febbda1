// SPDX-License-Identifier: MIT
/// \file belay/queue/dead_letters.hpp
/// KeepDead, and how values that cannot be used are put aside.
#pragma once

#include <concepts>      // std::same_as
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Selects that there is no storage for dead letters, so that they stay where they are.
///
/// In a WorkQueue they stay in its log, until they are revived or purged. In an Encoded they stay
/// the first value, until they are acknowledged.
struct KeepDead {};

namespace detail {

template <class D, class Answer>
concept AcceptsDeadLetters = requires(D& d, Bytes&& letter) {
    { d.try_push(static_cast<Bytes&&>(letter)) } -> std::same_as<Answer>;
};
// With another result type, it would be unclear whether true means taken or rejected.
template <class D>
concept DeadLetterStorage = std::same_as<D, KeepDead> || AcceptsDeadLetters<D, bool> ||
                            AcceptsDeadLetters<D, std::error_code>;

/// Returns whether a storage for dead letters has taken this one.
template <DeadLetterStorage DeadLetters>
[[nodiscard]] bool push_dead_letter(DeadLetters& letters, BytesView body) {
    if constexpr (std::same_as<DeadLetters, KeepDead>) {
        return false;
    } else if constexpr (AcceptsDeadLetters<DeadLetters, bool>) {
        return letters.try_push(to_bytes(body));
    } else {
        return !letters.try_push(to_bytes(body));
    }
}

/// Returns whether the storage for dead letters is durable now, if it can be.
template <DeadLetterStorage DeadLetters>
[[nodiscard]] bool flush_dead_letters(DeadLetters& letters) {
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

/// Returns whether the letter is in the storage now, durably if it can be.
///
/// It is pushed only once: `sent` is true if it was pushed, also by an earlier call after which it
/// was not durable.
///
/// Throws: what the storage throws.
template <DeadLetterStorage DeadLetters>
[[nodiscard]] bool send_dead_letter(DeadLetters& letters, BytesView body, bool& sent) {
    sent = sent || push_dead_letter(letters, body);
    return sent && flush_dead_letters(letters);
}

}  // namespace detail
}}  // namespace belay
