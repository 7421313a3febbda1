// SPDX-License-Identifier: MIT
/// \file tests/support/room/persistence_calls.hpp
/// The calls of a PersistenceLike that answers inside of them, as functions.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <belay/room/persistence_like.hpp>

namespace belay_test {

inline constexpr belay::Id first_epoch{std::byte{1}};
inline constexpr belay::Id second_epoch{std::byte{2}};

/// The answer to one call, which must be given before the call returns.
template <class V, class Ask>
[[nodiscard]] V answer_of(Ask&& ask, V otherwise) {
    belay::driver::Question<V> question;
    ask(question.ask());
    if (!question.answered()) return otherwise;
    return question.take().value_or(std::move(otherwise));
}

/// The error that stands for a missing answer.
[[nodiscard]] inline belay::PersistenceError no_answer() {
    return {std::make_error_code(std::errc::owner_dead), {}, "no answer"};
}

template <class P>
[[nodiscard]] belay::part::LoadedRoom loaded(P& rooms, std::string_view id) {
    return answer_of([&](auto done) { rooms.load(id, std::move(done)); },
                     belay::part::LoadedRoom{no_answer()});
}
template <class P>
[[nodiscard]] belay::part::FlushedRooms flush_of(P& rooms) {
    return answer_of([&](auto done) { rooms.flush(std::move(done)); },
                     belay::part::FlushedRooms{no_answer()});
}
template <class P>
[[nodiscard]] belay::PersistenceError flushed(P& rooms) {
    return flush_of(rooms).error;
}
/// The position of a room in an answer; 0 if it has none.
[[nodiscard]] inline std::uint64_t position_in(const belay::part::FlushedRooms& flushed,
                                               std::string_view id) {
    for (const auto& [room, position] : flushed.positions)
        if (room == id) return position;
    return 0;
}
/// Flushes the changes of a room.   Returns: its position; 0 after an error.
template <class P>
[[nodiscard]] std::uint64_t flushed_at(P& rooms, std::string_view id) {
    return position_in(flush_of(rooms), id);
}
template <class P>
[[nodiscard]] belay::PersistenceError saving(P& rooms, std::string_view id,
                                             const std::vector<belay::Bytes>& snapshot,
                                             std::uint64_t covers) {
    return answer_of([&](auto done) { rooms.save(id, snapshot, covers, std::move(done)); },
                     no_answer());
}
template <class P>
[[nodiscard]] std::error_code saved(P& rooms, std::string_view id,
                                    const std::vector<belay::Bytes>& snapshot,
                                    std::uint64_t covers) {
    return saving(rooms, id, snapshot, covers).code;
}
template <class P>
[[nodiscard]] belay::part::ListedRooms listed(P& rooms, std::string_view after, std::size_t count) {
    return answer_of([&](auto done) { rooms.list(after, count, std::move(done)); },
                     belay::part::ListedRooms{no_answer()});
}

[[nodiscard]] inline std::vector<belay::Bytes> parts(
    std::initializer_list<std::string_view> texts) {
    std::vector<belay::Bytes> parts;
    for (const std::string_view text : texts) parts.push_back(belay::to_bytes(text));
    return parts;
}

/// The content as text: "snapshot,in,parts|update,update".
[[nodiscard]] inline std::string text_of(const belay::StoredRoom& room) {
    const auto joined = [](const std::vector<belay::Bytes>& all) {
        std::string text;
        for (const belay::Bytes& part : all) {
            if (&part != all.data()) text += ',';
            text += belay::as_text(part);
        }
        return text;
    };
    return joined(room.snapshot) + '|' + joined(room.updates);
}

}  // namespace belay_test
