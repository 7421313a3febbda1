// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_room_record.hpp
/// JournalRoomRecord: one operation in the log of rooms.
/// docs/reference/formats/rooms.md specifies the format.
#pragma once

#include <algorithm>    // std::copy_n
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Which history of a room it is, and what stands for its beginning.
struct HistoryState {
    Id epoch{};
    /// The id of the log that `covers` counts in; `no_id`: there is no snapshot.
    Id journal{};
    /// The snapshot replaces the log up to here. Without a snapshot: the start of the history.
    std::uint64_t covers = 0;

    friend bool operator==(const HistoryState&, const HistoryState&) noexcept = default;
};

enum class RoomChange : std::uint8_t { update = 1, part = 2, reset = 3, erase = 4, state = 5 };

struct JournalRoomRecord {
    RoomChange kind{};
    std::string_view id{};
    std::uint64_t sequence = 0;  // grows from record to record, also in a log that was salvaged
    std::uint64_t previous = 0;  // the sequence of the room's previous record; 0: unknown
    HistoryState state{};        // its epoch; of a state all of it
    std::uint32_t part = 0;      // of an update that is in several records
    std::uint32_t parts = 1;
    BytesView update{};
};

inline constexpr std::byte room_record_mark{'R'};
inline constexpr std::uint8_t room_record_version = 2;
inline constexpr std::size_t room_record_head_bytes = 36;
inline constexpr std::size_t room_part_bytes = 8;
inline constexpr std::size_t room_place_bytes = 24;

/// Returns about how many bytes of the log a record of so many bytes takes.
[[nodiscard]] constexpr std::uint64_t logged_bytes(std::size_t record) noexcept {
    return std::uint64_t{record} + 24;
}

/// Replaces what is in `to`.   Pre: is_room_id(record.id).
inline void encode(const JournalRoomRecord& record, Bytes& to) {
    const std::size_t head = room_record_head_bytes + record.id.size();
    const bool is_part = record.kind == RoomChange::part;
    const std::size_t body = record.kind == RoomChange::state ? room_place_bytes
                             : is_part                        ? room_part_bytes
                                                              : 0;
    to.resize(head + body);
    to[0] = room_record_mark;
    to[1] = static_cast<std::byte>(room_record_version);
    to[2] = static_cast<std::byte>(record.kind);
    to[3] = static_cast<std::byte>(record.id.size());
    store_le(to.data() + 4, record.sequence);
    store_le(to.data() + 12, record.previous);
    std::copy_n(record.state.epoch.begin(), 16, to.data() + 20);
    const BytesView id = as_bytes(record.id);
    std::copy_n(id.begin(), id.size(), to.begin() + room_record_head_bytes);
    if (record.kind == RoomChange::state) {
        std::copy_n(record.state.journal.begin(), 16, to.data() + head);
        store_le(to.data() + head + 16, record.state.covers);
    }
    if (is_part) {
        store_le(to.data() + head, record.part);
        store_le(to.data() + head + 4, record.parts);
    }
    to.insert(to.end(), record.update.begin(), record.update.end());
}

/// Views into `bytes`.   Errors: log_misplaced: no record of rooms; other_version.
[[nodiscard]] inline Result<JournalRoomRecord> decode_room_record(BytesView bytes) noexcept {
    const auto none = make_error_code(RoomErrc::log_misplaced);
    if (bytes.size() < 2 || bytes[0] != room_record_mark) return none;
    if (static_cast<std::uint8_t>(bytes[1]) != room_record_version) {
        return make_error_code(QueueErrc::other_version);
    }
    if (bytes.size() < room_record_head_bytes) return none;
    JournalRoomRecord record;
    const auto kind = static_cast<std::uint8_t>(bytes[2]);
    const auto size = static_cast<std::size_t>(bytes[3]);
    if (kind < 1 || kind > 5 || size > bytes.size() - room_record_head_bytes) return none;
    record.kind = static_cast<RoomChange>(kind);
    record.sequence = load_le<std::uint64_t>(bytes.data() + 4);
    record.previous = load_le<std::uint64_t>(bytes.data() + 12);
    std::copy_n(bytes.begin() + 20, 16, record.state.epoch.begin());
    record.id = as_text(bytes.subspan(room_record_head_bytes, size));
    if (!is_room_id(record.id)) return none;
    const BytesView body = bytes.subspan(room_record_head_bytes + size);
    switch (record.kind) {
        case RoomChange::update:
            record.update = body;
            return record;
        case RoomChange::part:
            if (body.size() < room_part_bytes) return none;
            record.part = load_le<std::uint32_t>(body.data());
            record.parts = load_le<std::uint32_t>(body.data() + 4);
            if (record.parts < 2 || record.part >= record.parts) return none;
            record.update = body.subspan(room_part_bytes);
            return record;
        case RoomChange::reset:
        case RoomChange::erase:
            break;
        case RoomChange::state:
            if (body.size() != room_place_bytes) return none;
            std::copy_n(body.begin(), 16, record.state.journal.begin());
            record.state.covers = load_le<std::uint64_t>(body.data() + 16);
            return record;
    }
    if (!body.empty()) return none;
    return record;
}

}}}  // namespace belay::detail
