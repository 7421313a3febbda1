// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_evidence.hpp
/// RecordEvidence: decides which bytes after damage really are records.
#pragma once

#include <optional>  // std::optional
#include <vector>    // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The known facts about a segment's records: their nonce, runs and numbers.
///
/// A record has a checksum of 32 bits, and after damage a record may begin at every eighth byte.
/// Bodies that are arrays of small integers have the form of a record at each of these positions.
/// So the run of a record must be known, or nearly known. Its number must be one that the bytes
/// since the last operation can have reached. Inspection, salvage and opening all use this class.
///
/// Thread safety: none of its own.   Throws: std::bad_alloc.
template <class Source>
class RecordEvidence {
public:
    RecordEvidence(RecordSearch<Source>& records, std::uint32_t nonce) noexcept
        : records_{&records}, nonce_{nonce} {}

    [[nodiscard]] std::uint32_t nonce() const noexcept { return nonce_; }
    [[nodiscard]] std::uint32_t run_of(const FoundRecord& found) const noexcept {
        return found.seed - nonce_;
    }
    /// Adds a run that has an opening or another record.
    void add_run(std::uint32_t run) {
        const std::size_t place = place_behind(run);
        if (place != 0 && runs_[place - 1] == run) return;
        runs_.insert(runs_.begin() + static_cast<std::ptrdiff_t>(place), run);
    }
    [[nodiscard]] std::uint32_t first_run() const noexcept { return runs_.front(); }
    [[nodiscard]] bool has_run(std::uint32_t run) const noexcept {
        return known_up_to(run) == std::optional{run};
    }
    /// Adds an operation that ends at `end`. A copy of an earlier operation proves that another one
    /// was there.
    void add_number(std::uint64_t number, std::uint64_t end) noexcept {
        if (numbers_known_ && number <= last_) return;
        last_ = number;
        numbers_known_ = true;
        end_ = end;
    }
    [[nodiscard]] bool numbers_known() const noexcept { return numbers_known_; }
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }

    /// Returns whether a record `skipped` bytes after the beginning of damage is genuine.
    ///
    /// An opening may begin any later run, because only one nonce gives it the seed of the run that
    /// is its number. Openings alone cannot make later runs known: they may be the damaged bytes,
    /// and only two remain of many in a row. So other records may be of one of the next few runs,
    /// and of more runs if more records follow each other. A body may hold records under all
    /// seeds, so the number of runs must not grow faster than the bytes that it costs. Two records
    /// may be of as many runs as one damaged sector can hide.
    /// Complexity: that of RecordSearch::at, times the records of that row.
    [[nodiscard]] bool accepts(const FoundRecord& found, std::uint64_t skipped) const {
        using journal_format::Kind;
        const std::uint32_t run = run_of(found);
        const std::optional<std::uint32_t> known = known_up_to(run);
        if (!known) return false;
        const std::uint32_t ahead = run - *known;
        if (ahead > journal_format::runs_in_a_row_max) return false;
        if (found.header.kind == Kind::opening) return found.header.number == run;
        const bool is_numbered = has_possible_number(found);
        const std::uint64_t openings =
            skipped / journal_format::record_bytes(opening_payload_bytes);
        const bool is_near = ahead <= smaller<std::uint64_t>(openings, runs_per_record);
        if (is_numbered && is_near && !is_contradicted(found)) return true;
        return (is_numbered || found.header.kind == Kind::operation) &&
               begins_row(found, ahead, skipped);
    }
    /// Returns whether a row of records, the last of them included, may be `ahead` runs after a
    /// known run.
    [[nodiscard]] static constexpr bool is_within_reach(std::uint32_t ahead,
                                                        std::uint64_t records) noexcept {
        return ahead <= runs_per_record * smaller(records, records_in_row_max);
    }
    /// Returns whether the next record is of the same run and continues its numbers.
    [[nodiscard]] bool is_confirmed(const FoundRecord& found) const {
        const std::optional<FoundRecord> next = records_->peek(found.end());
        return next && found.is_followed_by(*next);
    }
    /// Returns whether that many operations fit between the last one and the record.
    [[nodiscard]] bool has_possible_number(const FoundRecord& found) const noexcept {
        using journal_format::Kind;
        const std::uint64_t number = found.header.number;
        if (!numbers_known_) return true;
        const std::uint64_t lost = (found.offset - end_) / journal_format::record_header_bytes;
        const std::uint64_t ahead = number > last_ ? number - last_ : 0;
        if (found.header.kind == Kind::operation) return ahead <= lost + 1;
        if (found.header.kind == Kind::ack) return ahead <= lost;
        return found.header.kind != Kind::seal || (number >= last_ && ahead <= lost);
    }

private:
    /// The number of runs that lose their openings with 512 bytes.
    static constexpr std::uint64_t runs_per_record = 16;
    /// Longer rows count as rows of this length. It bounds the time for a record.
    static constexpr std::uint64_t records_in_row_max = 4096;
    /// The number of runs that lose their openings with 4 KiB, a physical sector. Each run has
    /// another record, and the first and the last opening may be partly outside.
    static constexpr std::uint64_t runs_per_sector = 74;

    /// Returns how many runs, each of an opening and another record, may be hidden in bytes. The
    /// last run needs only its opening.
    [[nodiscard]] static constexpr std::uint64_t hidden_runs(std::uint64_t bytes) noexcept {
        constexpr std::uint64_t other = journal_format::record_header_bytes;
        constexpr std::uint64_t run = journal_format::record_bytes(opening_payload_bytes) + other;
        return smaller((bytes + other) / run, runs_per_sector);
    }
    /// Returns whether enough records with the seed of `found` follow each other.
    [[nodiscard]] bool begins_row(FoundRecord found, std::uint32_t ahead,
                                  std::uint64_t skipped) const {
        if (!is_within_reach(ahead, records_in_row_max)) return false;
        for (std::uint64_t records = 2;; ++records) {
            const std::optional<FoundRecord> next = records_->peek(found.end());
            if (!next || !found.is_followed_by(*next)) return false;
            if (ahead <= hidden_runs(skipped) || is_within_reach(ahead, records)) return true;
            found = *next;
        }
    }
    /// Returns whether the next record is of another, known run. One flipped bit may change a
    /// record's run into another.
    [[nodiscard]] bool is_contradicted(const FoundRecord& found) const {
        const std::optional<FoundRecord> next = records_->peek(found.end());
        return next && next->seed != found.seed && has_run(run_of(*next)) &&
               next->header.kind != journal_format::Kind::opening;
    }
    /// Returns the last known run that is not after this one.
    [[nodiscard]] std::optional<std::uint32_t> known_up_to(std::uint32_t run) const noexcept {
        const std::size_t place = place_behind(run);
        return place == 0 ? std::nullopt : std::optional{runs_[place - 1]};
    }
    [[nodiscard]] std::size_t place_behind(std::uint32_t run) const noexcept {
        return first_after(runs_, [run](std::uint32_t other) { return other <= run; });
    }

    RecordSearch<Source>* records_;
    std::uint32_t nonce_;
    std::vector<std::uint32_t> runs_;  // sorted
    bool numbers_known_ = false;
    std::uint64_t last_ = 0;
    std::uint64_t end_ = 0;  // of the last operation that was found
};

/// Returns up to where the segment was on the medium when the last genuine record after `from` was
/// made. Bytes above that position, after damage, were never promised.   Complexity: O(bytes).
template <class Source>
[[nodiscard]] std::uint64_t proven_after(RecordSearch<Source>& records,
                                         RecordEvidence<Source> evidence, std::uint64_t from) {
    std::uint64_t proven = 0;
    for (std::uint64_t at = records.candidate_from(from); at < records.end();
         at = records.candidate_from(at + journal_format::alignment)) {
        const std::optional<FoundRecord> found = records.at(at);
        if (!found || !evidence.accepts(*found, at - from)) continue;
        evidence.add_run(evidence.run_of(*found));
        // An opening is no evidence, because it may never have been flushed.
        if (found->header.kind != journal_format::Kind::opening) {
            proven = larger<std::uint64_t>(proven, found->header.durable);
        }
    }
    return proven;
}

}}}  // namespace belay::detail
