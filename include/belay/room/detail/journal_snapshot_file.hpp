// SPDX-License-Identifier: MIT
/// \file belay/room/detail/journal_snapshot_file.hpp
/// SnapshotFile: the bytes of a room's snapshot in a file.
/// docs/reference/formats/rooms.md specifies the format.
#pragma once

#include <algorithm>    // std::copy_n, std::min
#include <array>        // std::array
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/crc32c.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/room/detail/journal_room_record.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The contents of a snapshot file.
struct SnapshotFile {
    HistoryState state{};
    std::vector<Bytes> parts{};
};

inline constexpr std::string_view snapshot_mark = "belay.rm";
inline constexpr std::uint32_t snapshot_version = 1;
inline constexpr std::size_t room_state_bytes = 16 + room_place_bytes;
inline constexpr std::size_t snapshot_head_bytes = 32 + room_state_bytes;
inline constexpr std::size_t snapshot_buffer_bytes = std::size_t{64} << 10;

inline void store_state(std::byte* to, const HistoryState& state) noexcept {
    std::copy_n(state.epoch.begin(), 16, to);
    std::copy_n(state.journal.begin(), 16, to + 16);
    store_le(to + 32, state.covers);
}
[[nodiscard]] inline HistoryState load_state(const std::byte* from) noexcept {
    HistoryState state;
    std::copy_n(from, 16, state.epoch.begin());
    std::copy_n(from + 16, 16, state.journal.begin());
    state.covers = load_le<std::uint64_t>(from + 32);
    return state;
}

/// Writes a file from its beginning on, in pieces of `snapshot_buffer_bytes`.
template <class File>
class SnapshotOutput {
public:
    explicit SnapshotOutput(File& file) noexcept : file_{file} {}

    void put(BytesView bytes) {
        while (!bytes.empty() && !error_) {
            const std::size_t count = std::min(bytes.size(), buffer_.size() - used_);
            std::copy_n(bytes.begin(), count, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
            used_ += count;
            bytes = bytes.subspan(count);
            if (used_ == buffer_.size()) write();
        }
    }
    /// The checksum of all that was put, and the end.
    [[nodiscard]] std::error_code finish() {
        write();
        std::array<std::byte, 4> sum{};
        store_le(sum.data(), crc_);
        put(sum);
        write();
        return error_ ? error_ : file_.sync();
    }

private:
    void write() noexcept {
        const BytesView piece = BytesView{buffer_}.first(used_);
        if (!error_) error_ = file_.write(offset_, piece);
        crc_ = part::crc32c(piece, crc_);
        offset_ += used_;
        used_ = 0;
    }

    File& file_;
    Bytes buffer_ = Bytes(snapshot_buffer_bytes);
    std::size_t used_ = 0;
    std::uint64_t offset_ = 0;
    std::uint32_t crc_ = 0;
    std::error_code error_{};
};

/// Reads a file from its beginning on.
template <class File>
class SnapshotInput {
public:
    explicit SnapshotInput(const File& file) noexcept : file_{file} {}

    /// False at the end of the file, and where it cannot be read: see error().
    [[nodiscard]] bool get(std::span<std::byte> into) {
        while (!into.empty()) {
            if (at_ == used_ && !read()) return false;
            const std::size_t count = std::min(into.size(), used_ - at_);
            const BytesView piece = BytesView{buffer_}.subspan(at_, count);
            std::copy_n(piece.begin(), count, into.begin());
            crc_ = part::crc32c(piece, crc_);
            at_ += count;
            into = into.subspan(count);
        }
        return true;
    }
    [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

private:
    [[nodiscard]] bool read() {
        buffer_.resize(snapshot_buffer_bytes);
        const Result<std::size_t> count = file_.read(offset_, buffer_);
        if (!count) error_ = count.error();
        at_ = 0;
        used_ = count.value_or(std::size_t{0});
        offset_ += used_;
        return used_ != 0;
    }

    const File& file_;
    Bytes buffer_{};
    std::size_t at_ = 0;
    std::size_t used_ = 0;
    std::uint64_t offset_ = 0;
    std::uint32_t crc_ = 0;
    std::error_code error_{};
};

/// Writes and syncs it.   Complexity: of the bytes.
template <class File>
[[nodiscard]] std::error_code write_snapshot(File& file, std::string_view id,
                                             const HistoryState& state,
                                             std::span<const Bytes> parts) {
    std::array<std::byte, snapshot_head_bytes> head{};
    const BytesView mark = as_bytes(snapshot_mark);
    std::copy_n(mark.begin(), mark.size(), head.begin());
    store_le(head.data() + 8, snapshot_version);
    store_le(head.data() + 12, static_cast<std::uint32_t>(id.size()));
    std::uint64_t bytes = 0;
    for (const Bytes& part : parts) bytes += part.size();
    store_le(head.data() + 16, std::uint64_t{parts.size()});
    store_le(head.data() + 24, bytes);
    store_state(head.data() + 32, state);
    SnapshotOutput output{file};
    output.put(head);
    output.put(as_bytes(id));
    for (const Bytes& part : parts) {
        std::array<std::byte, 8> size{};
        store_le(size.data(), std::uint64_t{part.size()});
        output.put(size);
        output.put(part);
    }
    return output.finish();
}

/// Reads one, and checks that it is of this id; allocates no more than the file is long.
///
/// Errors: snapshot_damaged; snapshot_misplaced: of another room; other_version; those of the
///         disk. `what` is the case in words.
template <class File>
[[nodiscard]] Result<SnapshotFile, PersistenceError> read_snapshot(const File& file,
                                                                   std::string_view id) {
    const auto wrong = [](std::error_code code, std::string what) {
        return PersistenceError{code, {}, std::move(what)};
    };
    const Result<std::uint64_t> length = file.size();
    if (!length) return wrong(length.error(), "");
    SnapshotInput input{file};
    const auto damaged = [&](const char* what) {
        return input.error() ? wrong(input.error(), "") : wrong(RoomErrc::snapshot_damaged, what);
    };
    std::array<std::byte, snapshot_head_bytes> head{};
    if (!input.get(head)) return damaged("the file is too short");
    if (as_text(head).substr(0, 8) != snapshot_mark)
        return damaged("the file does not start as a snapshot");
    if (load_le<std::uint32_t>(head.data() + 8) != snapshot_version) {
        return wrong(make_error_code(QueueErrc::other_version),
                     version_text(load_le<std::uint32_t>(head.data() + 8), snapshot_version));
    }
    const std::uint64_t id_bytes = load_le<std::uint32_t>(head.data() + 12);
    const auto parts = load_le<std::uint64_t>(head.data() + 16);
    const auto bytes = load_le<std::uint64_t>(head.data() + 24);
    const std::uint64_t most = *length;
    if (id_bytes > part::room_id_bytes_max || bytes > most || parts > most / 8 ||
        head.size() + id_bytes + 8 * parts + bytes + 4 != most) {
        return damaged("the length of the file differs from its header");
    }
    std::array<std::byte, part::room_id_bytes_max> own{};
    const std::span<std::byte> own_id = std::span{own}.first(static_cast<std::size_t>(id_bytes));
    if (!input.get(own_id)) return damaged("the file ends too early");
    SnapshotFile found{load_state(head.data() + 32), {}};
    std::uint64_t left = bytes;
    for (std::uint64_t i = 0; i < parts; ++i) {
        std::array<std::byte, 8> size{};
        if (!input.get(size)) return damaged("the file ends too early");
        const auto count = load_le<std::uint64_t>(size.data());
        if (count > left) return damaged("the length of a part is wrong");
        left -= count;
        Bytes& part = found.parts.emplace_back(static_cast<std::size_t>(count));
        if (!input.get(part)) return damaged("the file ends too early");
    }
    const std::uint32_t crc = input.crc();
    std::array<std::byte, 4> sum{};
    if (!input.get(sum)) return damaged("the file ends too early");
    if (left != 0 || load_le<std::uint32_t>(sum.data()) != crc) {
        return damaged("the checksum is wrong");
    }
    if (as_text(own_id) != id)
        return wrong(RoomErrc::snapshot_misplaced, "the snapshot belongs to another room");
    return found;
}

}}}  // namespace belay::detail
