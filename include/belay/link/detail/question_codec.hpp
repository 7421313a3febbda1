// SPDX-License-Identifier: MIT
/// \file belay/link/detail/question_codec.hpp
/// The codec of a Requests: how answers find their questions.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_base_of_v, std::remove_cvref_t
#include <utility>      // std::forward

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/link/detail/supervisor_mistakes.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// The codec of a Requests whose server answers each question, in order, without an id.
///
/// Each message of the peer is an answer. A codec of yours may derive from it and add
/// `bool is_answer(const message_type&)`, if the peer also sends other messages.
struct InOrder {};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(put_id);
BELAY_DETAIL_MEMBER(id_of);
BELAY_DETAIL_MEMBER(is_answer);

template <class C, class M>
concept PutsQuestionId = requires(C& codec, M& message) { codec.put_id(message, std::uint64_t{}); };
template <class C, class M>
concept ReadsQuestionId = requires(C& codec, const M& message) {
    { codec.id_of(message) } -> std::same_as<std::optional<std::uint64_t>>;
};
template <class C, class M>
concept HasQuestionIds = PutsQuestionId<C, M> && ReadsQuestionId<C, M>;
template <class C, class M>
concept FindsAnswers = requires(C& codec, const M& message) {
    { codec.is_answer(message) } -> std::same_as<bool>;
};

/// Names everything that is wrong with a codec.
template <class C, class M>
consteval bool explain_question_codec() {
    constexpr bool has_any_id = has_put_id<C>() || has_id_of<C>();
    static_assert(!has_any_id || PutsQuestionId<C, M>,
                  "Requests: a codec with id_of needs 'void put_id(message_type&, std::uint64_t "
                  "id)'; derive from part::InOrder if answers come in order");
    static_assert(!has_any_id || ReadsQuestionId<C, M>,
                  "Requests: a codec with put_id needs 'std::optional<std::uint64_t> id_of(const "
                  "message_type&)'; derive from part::InOrder if answers come in order");
    static_assert(has_any_id || std::is_base_of_v<part::InOrder, C>,
                  "Requests: the codec must have put_id and id_of, or be part::InOrder");
    static_assert(!has_is_answer<C>() || FindsAnswers<C, M>,
                  "Requests: the codec's is_answer must be 'bool is_answer(const message_type&)'");
    static_assert(!has_any_id || !has_is_answer<C>(),
                  "Requests: a codec with ids must not have is_answer; return std::nullopt from "
                  "id_of for a message that is no answer");
    return true;
}

template <class C, class M>
[[nodiscard]] bool is_answer(C& codec, const M& message) {
    if constexpr (FindsAnswers<C, M>) {
        return codec.is_answer(message);
    } else {
        return true;
    }
}

/// Returns a question as a message; a text becomes bytes.
template <class M, class V>
[[nodiscard]] M to_message(V&& question) {
    if constexpr (TextForBytes<std::remove_cvref_t<V>, M>) {
        return to_bytes(as_bytes(std::string_view{question}));
    } else {
        return M(std::forward<V>(question));
    }
}

}  // namespace detail

}}  // namespace belay
