// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_index.hpp
/// Segment and SegmentIndex: where in the files an operation is, at a quarter of a byte each.
#pragma once

#include <vector>  // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using journal_format::Mark;
using journal_format::Opening;
using journal_format::operations_per_mark;

/// Adds a run to those before it; one that appended nothing leaves no trace.
inline void add_opening(std::vector<Opening>& openings, const Opening& opening) {
    if (!openings.empty() && openings.back().first == opening.first) openings.pop_back();
    openings.push_back(opening);
}

/// Room at the end of a segment that a record leaves to others: on a full disk what frees space,
/// and openings, must find some behind acknowledgements.
[[nodiscard]] constexpr std::size_t left_to_others(journal_format::Kind kind, bool frees) noexcept {
    using journal_format::Kind;
    constexpr std::size_t all = journal_format::reserve_bytes;
    if (kind == Kind::operation || kind == Kind::note) return all;
    if (kind != Kind::ack) return 0;
    return frees ? all / 2 : all * 3 / 4;
}

/// What is known of a segment without reading it.
struct Segment {
    journal_format::SegmentHeader header;
    FileIdentity file{};      // that has its records; a copy of it is another one
    std::uint64_t last = 0;   // its last operation; header.first - 1 if it has none
    std::uint64_t check = 0;  // at `last`
    std::uint32_t end = 0;    // where its next record goes
    // Of two openings at its end the place of the older one, or of what is left of it; 0: none.
    std::uint32_t older_opening = 0;
    // All below was on the medium when its last record was made; of segments that were scanned.
    std::uint32_t durable = journal_format::segment_header_bytes;
    std::vector<Mark> marks;
    std::vector<Opening> openings;  // of the last segment only: its seal will need them

    /// Notes in which file it is.   Errors: those of asking the file.
    template <class File>
    [[nodiscard]] std::error_code know_file(const File& opened) noexcept {
        const Result<FileIdentity> identity = opened.identity();
        if (identity) file = *identity;
        return identity.error();
    }
    /// Notes an operation that comes next, at `offset`. Does not allocate after `reserve`.
    void add(std::uint64_t number, std::uint32_t offset) {
        if ((number - header.first) % operations_per_mark == 0) marks.push_back({check, offset});
        last = number;
    }
    /// Makes room for the marks of a file of `bytes` bytes that has nothing but empty operations.
    void reserve(std::size_t bytes) {
        const std::uint64_t least = journal_format::record_header_bytes * operations_per_mark;
        marks.reserve(static_cast<std::size_t>(bytes / least) + 1);
    }
    /// Notes a run that begins behind the last operation.
    void open_run(std::uint32_t run, std::uint32_t salt) {
        add_opening(openings, {last + 1, run, salt});
    }
    /// What goes on behind its last operation.
    [[nodiscard]] Segment next() const {
        Segment next;
        next.header = header;
        next.header.index = header.index + 1;
        next.header.first = last + 1;
        next.header.check = next.check = check;
        next.last = last;
        return next;
    }
    /// The bytes of its seal's record, if so much comes before it yet.
    [[nodiscard]] std::size_t seal_bytes(std::size_t more_openings,
                                         std::size_t more_marks) const noexcept {
        return journal_format::record_bytes(journal_format::seal_payload_bytes(
            openings.size() + more_openings, marks.size() + more_marks));
    }
    [[nodiscard]] std::uint64_t records_bytes() const noexcept {
        return end - journal_format::segment_header_bytes;
    }
};

/// Where to look for an operation: a mark at or before it.
struct Place {
    std::uint64_t segment = 0;  // index of the file; 0: no file has it
    std::uint32_t nonce = 0;    // of that segment
    std::uint64_t number = 0;   // of the operation at `mark`
    std::uint64_t last = 0;     // of the last operation before the next mark
    Mark mark{};
    std::uint32_t next_mark = 0;  // where that one is; 0: the segment ends before
    bool check_is_known = false;  // the number is one whose check needs no walk
    std::uint64_t check = 0;
};

/// The segments that there are, in order.
class SegmentIndex {
public:
    /// Pre: at least one, each going on where the one before it ends.
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
            // The end of a segment that is gone is what the first one began with.
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
    /// The first that was not given up.
    [[nodiscard]] const Segment& first() const noexcept { return segments_[given_up_]; }
    /// Pre: the segment is there.
    [[nodiscard]] const Segment& at(std::uint64_t index) const noexcept {
        return segments_[static_cast<std::size_t>(index - first_file())];
    }
    /// The bytes of the records in all files but the last.
    [[nodiscard]] std::uint64_t sealed_bytes() const noexcept { return sealed_bytes_; }
    /// The last one is sealed, at its `end`, and another one goes on.
    void add(Segment segment) {
        Segment& sealed = segments_.back();
        sealed.openings = {};
        sealed.marks.shrink_to_fit();
        sealed_bytes_ += sealed.records_bytes();
        segments_.push_back(std::move(segment));
    }
    /// Gives up those that end by `number`, but the last one. Their files are still there.
    void give_up(std::uint64_t number) noexcept {
        while (first_ends_by(number)) ++given_up_;
    }
    /// How many were given up, whose files are there; the first of them is `first_file`.
    [[nodiscard]] std::size_t given_up() const noexcept { return given_up_; }
    [[nodiscard]] std::uint64_t first_file() const noexcept {
        return segments_.front().header.index;
    }
    /// The first files are gone.   Pre: count <= given_up().
    void remove_first(std::size_t count) noexcept {
        for (std::size_t i = 0; i < count; ++i) sealed_bytes_ -= segments_[i].records_bytes();
        segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
        given_up_ -= count;
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
