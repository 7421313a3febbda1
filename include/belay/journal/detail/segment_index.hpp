// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_index.hpp
/// Segment and SegmentIndex: the positions of operations in the files, at a quarter of a byte each.
#pragma once

#include <vector>  // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using journal_format::Mark;
using journal_format::Opening;
using journal_format::operations_per_mark;

/// Adds a run. A previous run that appended nothing is removed.
inline void add_opening(std::vector<Opening>& openings, const Opening& opening) {
    if (!openings.empty() && openings.back().first == opening.first) openings.pop_back();
    openings.push_back(opening);
}

/// Returns the space at the end of a segment that a record must leave to others. On a full disk,
/// records that free space, and openings, must find some after acknowledgements.
[[nodiscard]] constexpr std::size_t left_to_others(journal_format::Kind kind, bool frees) noexcept {
    using journal_format::Kind;
    constexpr std::size_t all = journal_format::reserve_bytes;
    if (kind == Kind::operation || kind == Kind::note) return all;
    if (kind != Kind::ack) return 0;
    return frees ? all / 2 : all * 3 / 4;
}

/// The facts that are known about a segment without reading it.
struct Segment {
    journal_format::SegmentHeader header;
    FileIdentity file{};      // that has its records; a copy of it has another identity
    std::uint64_t last = 0;   // its last operation; header.first - 1 if it has none
    std::uint64_t check = 0;  // at `last`
    std::uint32_t end = 0;    // the position of its next record
    // The position of the older of two openings at its end, or of the rest of it; 0: none.
    std::uint32_t older_opening = 0;
    // Everything below was on the medium when its last record was made. Set for scanned segments.
    std::uint32_t durable = journal_format::segment_header_bytes;
    std::vector<Mark> marks;
    std::vector<Opening> openings;  // of the last segment only: its seal will need them

    /// Stores the identity of its file.   Errors: those of File::identity.
    template <class File>
    [[nodiscard]] std::error_code know_file(const File& opened) noexcept {
        const Result<FileIdentity> identity = opened.identity();
        if (identity) file = *identity;
        return identity.error();
    }
    /// Records the next operation, at `offset`. Does not allocate after `reserve`.
    void add(std::uint64_t number, std::uint32_t offset) {
        if ((number - header.first) % operations_per_mark == 0) marks.push_back({check, offset});
        last = number;
    }
    /// Reserves capacity for the marks of a file of `bytes` bytes with only empty operations.
    void reserve(std::size_t bytes) {
        const std::uint64_t least = journal_format::record_header_bytes * operations_per_mark;
        marks.reserve(static_cast<std::size_t>(bytes / least) + 1);
    }
    /// Records a run that begins after the last operation.
    void open_run(std::uint32_t run, std::uint32_t salt) {
        add_opening(openings, {last + 1, run, salt});
    }
    /// Returns a segment that continues after its last operation.
    [[nodiscard]] Segment next() const {
        Segment next;
        next.header = header;
        next.header.index = header.index + 1;
        next.header.first = last + 1;
        next.header.check = next.check = check;
        next.last = last;
        return next;
    }
    /// Returns the bytes of its seal's record if that many openings and marks are added before it.
    [[nodiscard]] std::size_t seal_bytes(std::size_t more_openings,
                                         std::size_t more_marks) const noexcept {
        return journal_format::record_bytes(journal_format::seal_payload_bytes(
            openings.size() + more_openings, marks.size() + more_marks));
    }
    [[nodiscard]] std::uint64_t records_bytes() const noexcept {
        return end - journal_format::segment_header_bytes;
    }
};

/// Where to search for an operation: a mark at or before it.
struct Place {
    std::uint64_t segment = 0;  // index of the file; 0: no file has it
    std::uint32_t nonce = 0;    // of that segment
    std::uint64_t number = 0;   // of the operation at `mark`
    std::uint64_t last = 0;     // of the last operation before the next mark
    Mark mark{};
    std::uint32_t next_mark = 0;  // its position; 0: the segment ends before
    bool check_is_known = false;  // whether the check at the number needs no walk
    std::uint64_t check = 0;
};

/// The file of a segment that is no longer needed.
struct ReleasedFile {
    std::uint64_t index = 0;
    FileIdentity file{};  // zeros: unknown
};

/// The segments whose files are still to be deleted, and the needed ones, in order.
class SegmentIndex {
public:
    /// Pre: at least one segment; each continues where the one before it ends.
    explicit SegmentIndex(std::vector<Segment> segments) noexcept : segments_{std::move(segments)} {
        for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
            sealed_bytes_ += segments_[i].records_bytes();
        }
    }

    [[nodiscard]] Place find(std::uint64_t number) const noexcept {
        Place place;
        const std::size_t behind = first_after(
            segments_, [number](const Segment& segment) { return segment.header.first <= number; });
        if (behind <= given_up_) {
            // The header of the first segment has the check at the end of the segment before it.
            place.check_is_known = number + 1 == first().header.first;
            place.check = first().header.check;
            return place;
        }
        const Segment* const s = &segments_[behind - 1];
        place.check_is_known = number == s->last;
        place.check = s->check;
        if (number > s->last) return place;
        const std::uint64_t i = (number - s->header.first) / operations_per_mark;
        place.segment = s->header.index;
        place.nonce = s->header.nonce;
        place.number = s->header.first + i * operations_per_mark;
        place.last = smaller(place.number + (operations_per_mark - 1), s->last);
        place.mark = s->marks[static_cast<std::size_t>(i)];
        if (i + 1 < s->marks.size()) {
            place.next_mark = s->marks[static_cast<std::size_t>(i + 1)].offset;
        }
        return place;
    }

    [[nodiscard]] Segment& last() noexcept { return segments_.back(); }
    [[nodiscard]] const Segment& last() const noexcept { return segments_.back(); }
    /// Returns the first segment that was not released.
    [[nodiscard]] const Segment& first() const noexcept { return segments_[given_up_]; }
    /// Returns a segment.   Pre: the segment exists.
    [[nodiscard]] const Segment& at(std::uint64_t index) const noexcept {
        return segments_[static_cast<std::size_t>(index - first_file())];
    }
    /// Returns the bytes of the records in all files except the last.
    [[nodiscard]] std::uint64_t sealed_bytes() const noexcept { return sealed_bytes_; }
    /// Adds a segment after the last one, which is sealed at its `end`.
    void add(Segment segment) {
        Segment& sealed = segments_.back();
        sealed.openings = {};
        sealed.marks.shrink_to_fit();
        sealed_bytes_ += sealed.records_bytes();
        segments_.push_back(std::move(segment));
    }
    /// Returns the bytes of the records in the segments that end by `number` and are not released,
    /// except the last one.   Complexity: O(such segments).
    [[nodiscard]] std::uint64_t bytes_ending_by(std::uint64_t number) const noexcept {
        std::uint64_t bytes = 0;
        for (std::size_t i = given_up_; i + 1 < segments_.size(); ++i) {
            if (segments_[i].last > number) break;
            bytes += segments_[i].records_bytes();
        }
        return bytes;
    }
    /// Releases the segments that end by `number`, except the last one. Their files still exist.
    void give_up(std::uint64_t number) noexcept {
        while (first_ends_by(number)) ++given_up_;
    }
    /// Returns how many released segments are still here. The first of them is `first_file`.
    [[nodiscard]] std::size_t given_up() const noexcept { return given_up_; }
    [[nodiscard]] std::uint64_t first_file() const noexcept {
        return segments_.front().header.index;
    }
    /// Removes the first released segments, at most `max`, and returns their files.
    [[nodiscard]] std::vector<ReleasedFile> take_released(std::size_t max) {
        const std::size_t count = smaller(given_up_, max);
        std::vector<ReleasedFile> files(count);
        for (std::size_t i = 0; i < count; ++i) {
            files[i] = {segments_[i].header.index, segments_[i].file};
            sealed_bytes_ -= segments_[i].records_bytes();
        }
        segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
        given_up_ -= count;
        return files;
    }
    [[nodiscard]] bool first_ends_by(std::uint64_t number) const noexcept {
        return segments_.size() - given_up_ > 1 && first().last <= number;
    }

private:
    std::vector<Segment> segments_;
    std::size_t given_up_ = 0;  // from the front
    std::uint64_t sealed_bytes_ = 0;
};

}}}  // namespace belay::detail
