// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_document.hpp
/// YjsDocument: a Yjs document as one merged update, and the updates that came since.
/// Coverage: which clocks a Yjs document has, and which of them are deleted.
#pragma once

#include <algorithm>  // std::all_of, std::lower_bound, std::max, std::min, std::upper_bound
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint8_t, std::uint64_t
#include <span>       // std::span
#include <utility>    // std::exchange
#include <vector>     // std::vector

#include <belay/core/result.hpp>
#include <belay/yjs/detail/yjs_merge.hpp>
#include <belay/yjs/yjs_update.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The clocks that a document has, and the ranges of them that are deleted.
class Coverage {
public:
    Coverage() = default;
    /// Takes both from what a Merger has merged.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): of clocks, both
    Coverage(std::vector<DeleteRange> runs, std::vector<DeleteRange> deletes) noexcept
        : runs_{std::move(runs)}, deletes_{std::move(deletes)} {
        runs_.shrink_to_fit();
        deletes_.shrink_to_fit();
    }

    /// Replaces the deleted ranges by more of them.
    void set_deletes(std::vector<DeleteRange> deletes) noexcept {
        deletes_ = std::move(deletes);
        deletes_.shrink_to_fit();
    }

    /// Returns how many clients there are, at most.
    [[nodiscard]] std::size_t clients() const noexcept { return runs_.size(); }
    /// Returns how many ranges of clocks are deleted.
    [[nodiscard]] std::size_t delete_ranges() const noexcept { return deletes_.size(); }
    /// Returns how many blocks of an update are of clients that are not there.
    /// Complexity: O(m log n).
    [[nodiscard]] std::size_t new_clients(const Sources& update) const noexcept {
        return static_cast<std::size_t>(
            std::count_if(update.blocks.begin(), update.blocks.end(), [this](const Block& block) {
                const auto found = std::lower_bound(
                    runs_.begin(), runs_.end(), block.client,
                    [](const DeleteRange& r, std::uint64_t client) { return r.client > client; });
                return found == runs_.end() || found->client != block.client;
            }));
    }
    /// Returns, as a state vector, what is there of each client without a gap.
    /// Complexity: O(runs).
    [[nodiscard]] Bytes state_vector() const {
        Bytes out;
        std::uint64_t clients = 0;
        for (const DeleteRange& run : runs_) {
            if (run.clock != 0) continue;
            append_varuint(out, run.client);
            append_varuint(out, run.len);
            ++clients;
        }
        insert_varuints(out, 0, {clients});
        return out;
    }

    /// Returns whether an update adds nothing new.   Complexity: O(m log n).
    [[nodiscard]] bool holds(Sources& update) const {
        bool known = true;
        for_each_run(update, [&](const DeleteRange& run) { known = known && is_in(runs_, run); });
        return known && std::all_of(update.deletes.begin(), update.deletes.end(),
                                    [this](const DeleteRange& r) { return is_in(deletes_, r); });
    }

private:
    template <class F>
    static void for_each_run(const Sources& sources, F&& f) {
        for (Block block : sources.blocks) {
            DeleteRange run{block.client, block.clock, 0};
            while (block.structs > 0) {
                const Struct s = sources.take(block);
                if (s.kind() != ref::skip) {
                    run.len += s.len;
                    continue;
                }
                if (run.len > 0) f(run);
                run = {block.client, s.clock_end(), 0};
            }
            if (run.len > 0) f(run);
        }
    }

    /// Returns whether a range is inside one of the others.   Pre: sorted as united ranges are.
    [[nodiscard]] static bool is_in(std::span<const DeleteRange> ranges,
                                    const DeleteRange& wanted) noexcept {
        const auto behind = std::upper_bound(
            ranges.begin(), ranges.end(), wanted, [](const DeleteRange& a, const DeleteRange& b) {
                return a.client != b.client ? a.client > b.client : a.clock < b.clock;
            });
        if (behind == ranges.begin()) return false;
        const DeleteRange& range = *(behind - 1);
        return range.client == wanted.client && wanted.clock_end() <= range.clock_end();
    }

    std::vector<DeleteRange> runs_;
    std::vector<DeleteRange> deletes_;
};

}}}  // namespace belay::yjs::detail

namespace belay { inline namespace BELAY_ABI {

/// How a YjsDocument compacts updates when it merges them.
enum class Compaction : std::uint8_t {
    /// Joins content that was typed letter by letter, and keeps deleted content for a history.
    coalesce = 0,
    /// Also removes deleted and overwritten content, as a server with a Y.Doc does. See yjs::scrub.
    coalesce_and_scrub = 1
};

/// The limits of a YjsDocument, and when it merges updates.
struct YjsDocumentOptions {
    /// The limits of one update of a peer.
    yjs::Limits limits{};
    /// The maximum number of bytes of the document. While a deletion waits to be merged, it is a
    /// 64th more. Updates that were checked and are not applied yet do not count, and updates that
    /// only delete are not limited by it. A merge may write up to twice of what it reads, because
    /// each part of content that is cut names its neighbours.
    std::size_t bytes_max = std::size_t{64} << 20;
    /// The maximum number of structs with the gaps between them. Like the next two limits, it
    /// bounds the time of a merge, and the memory in addition to the bytes. Structs that wait do
    /// not count up to a 64th of structs_max, because letters that are typed one by one become one
    /// struct. If more was loaded, that and an eighth of it is the limit.
    std::size_t structs_max = 4'000'000;
    /// The maximum number of authors. Each gap counts as one more author.
    std::size_t clients_max = 500'000;
    /// The maximum number of ranges of deleted content.
    std::size_t delete_ranges_max = 2'000'000;
    /// The document merges when this many updates, or pending_bytes_max bytes of updates, wait to
    /// be merged. A large document waits for more: one update for each KiB of it, or a quarter of
    /// its bytes. The cost of merging thus stays in proportion to what arrives.
    std::size_t pending_updates_max = 500;
    /// See pending_updates_max.
    std::size_t pending_bytes_max = std::size_t{1} << 20;
    /// How updates are compacted when they are merged. If deleted content is to be removed, the
    /// document also merges for waiting updates that delete something. They must have as many bytes
    /// as the merged update, and at least 16 KiB. It removes deleted content
    /// - when that is an eighth of the merged update, or the merged update has doubled,
    /// - before `check` returns `document_full`, if content was deleted or the waiting updates are
    ///   long enough. It does so once after each snapshot, once for each 64th of its bytes that
    ///   arrives, and when it knows of as many deleted bytes,
    /// - for a snapshot, and for a client that has nothing yet.
    /// Each byte is thus read a constant number of times.
    Compaction compaction = Compaction::coalesce_and_scrub;
};

/// The current state of a YjsDocument.
struct YjsDocumentStatus {
    std::size_t bytes = 0;            ///< of the merged update, and of waiting updates
    std::size_t pending_updates = 0;  ///< updates that wait to be merged
    std::size_t clients = 0;          ///< authors, at most
    std::size_t gaps = 0;             ///< ranges of clocks that it lacked at the last merge
    std::size_t conflicts = 0;        ///< see yjs::Merged; over all merges since it was made
    std::uint64_t merges = 0;         ///< how often it has merged or compacted since it was made
};

/// A Yjs document without a CRDT, kept as one update into which all others are merged.
///
/// An edit costs only its own bytes. It waits in a list until
/// - a client joins (`state_vector`, `diff`),
/// - the document is saved (`snapshot`), or
/// - the list is as long as the options allow.
///
/// Models:        DocumentLike, with state vectors.
/// Thread safety: distinct objects safe.
class YjsDocument {
public:
    YjsDocument() = default;
    /// Makes an empty document.
    /// Pre: options.limits.nesting_max <= yjs::nesting_ceiling; both limits of pending updates > 0.
    explicit YjsDocument(const YjsDocumentOptions& options) : options_{options} {
        BELAY_OPTION(options.limits.nesting_max <= yjs::nesting_ceiling,
                     "YjsDocument: limits.nesting_max must be <= yjs::nesting_ceiling");
        BELAY_OPTION(options.pending_updates_max > 0 && options.pending_bytes_max > 0,
                     "YjsDocument: pending_updates_max and pending_bytes_max must be > 0");
        BELAY_OPTION(options.bytes_max > 0 && options.structs_max > 0 && options.clients_max > 0 &&
                         options.limits.bytes_max > 0 && options.limits.structs_max > 0 &&
                         options.limits.clients_max > 0,
                     "YjsDocument: the limits of bytes, structs and clients must be > 0");
    }

    /// Returns whether an update of a peer adds anything to what was merged last, or why it is
    /// rejected. An update is rejected if it is malformed, exceeds a limit, or makes the document
    /// too large. For one that only deletes, the one limit of the document is delete_ranges_max.
    ///
    /// Complexity: O(m log n). It compacts before it returns `document_full`, as
    /// YjsDocumentOptions::compaction describes.
    [[nodiscard]] Result<bool, yjs::UpdateError> check(BytesView update) {
        yjs::detail::Sources sources{{&update, 1}};
        if (auto error = yjs::detail::read_sources<true>(options_.limits, sources)) return error;
        if (known_.holds(sources)) return false;
        raise_limits_if_loaded();
        // Deletions make space. Only the limit of their number holds for them.
        Size more{sources.blocks.empty() ? std::size_t{0} : update.size(), 0,
                  known_.new_clients(sources), sources.deletes.size()};
        for (const yjs::detail::Block& block : sources.blocks) more.structs += block.structs;
        const bool deletes = !sources.deletes.empty();
        const Size missing = missing_for(more, deletes);
        const bool compacts =
            exceeded(missing) != nullptr && is_paid(update.size()) && may_give_space(missing);
        if (compacts) {
            compact();
            garbage_.arrived_bytes = 0;
            if (known_.holds(sources)) return false;
            more.clients = known_.new_clients(sources);
        }
        const char* const limit = exceeded(missing_for(more, deletes));
        if (limit == nullptr) {
            // Further updates may be checked before this one is applied.
            pending_deletes_ = pending_deletes_ || deletes;
            return true;
        }
        if (!compacts) add_arrived(update.size());
        return yjs::UpdateError{YjsErrc::document_full, 0, 0, limit};
    }

    /// Adds an update that was checked, or is part of a snapshot. It rejects malformed bytes only.
    ///
    /// Complexity: O(m); O(n log n) when it merges.
    [[nodiscard]] yjs::UpdateError apply(BytesView update) {
        const auto summary = yjs::validate(update, yjs::Limits::none());
        if (!summary) return summary.error();
        if (summary->structs == 0 && summary->delete_ranges == 0) return {};
        pending_.emplace_back(update.begin(), update.end());
        waiting_.bytes += update.size();
        waiting_.structs += summary->structs + summary->skips;
        waiting_.clients += summary->clients;
        waiting_.delete_ranges += summary->delete_ranges;
        add_arrived(update.size());
        pending_deletes_ = pending_deletes_ || summary->delete_ranges > 0;
        if (must_merge()) merge();
        return {};
    }

    /// Merges and compacts, and returns the one update that is the document; none if the document
    /// is empty.
    [[nodiscard]] std::span<const Bytes> snapshot() {
        compact();
        garbage_.arrived_bytes = no_limit;
        return {&merged_, merged_.empty() ? std::size_t{0} : std::size_t{1}};
    }

    /// Merges, and returns what the document holds of each client.
    [[nodiscard]] Bytes state_vector() {
        merge();
        return known_.state_vector();
    }

    /// Merges, and returns the update that a peer with `state_vector` lacks; `00 00` if it lacks
    /// nothing.
    ///
    /// Errors: malformed_state_vector; update_too_large, if it names more clients than the document
    /// has and an update may have, together.
    [[nodiscard]] Result<Bytes, yjs::UpdateError> diff(BytesView state_vector) {
        merge();
        yjs::detail::Clocks clocks;
        if (auto error = yjs::detail::read_state_vector(state_vector, limits_of_peer(), clocks))
            return error;
        // All of it takes as long as compacting it.
        if (clocks.empty()) compact();
        if (merged_.empty()) return Bytes(2);
        if (clocks.empty()) return Bytes{merged_};
        const BytesView merged{merged_};
        yjs::detail::Sources sources = read({&merged, 1});
        return yjs::detail::diff_of(sources, clocks);
    }

    /// Checks a state vector of a peer without merging. A state vector that it accepts may still be
    /// rejected by `diff`, because the document counts an author once for each waiting update.
    ///
    /// Errors: those of `diff`.   Complexity: O(m); it allocates nothing.
    [[nodiscard]] yjs::UpdateError check_state_vector(BytesView state_vector) const {
        yjs::Limits limits = limits_of_peer();
        limits.clients_max += std::min(waiting_.clients, no_limit - limits.clients_max);
        return yjs::detail::scan_state_vector(state_vector, limits, [](yjs::detail::Id) {});
    }

    /// Returns the number of bytes of the merged update, and of updates that wait to be merged.
    [[nodiscard]] std::size_t bytes() const noexcept { return merged_.size() + waiting_.bytes; }
    /// Returns the current state.
    [[nodiscard]] YjsDocumentStatus status() const noexcept {
        return {bytes(),      pending_.size(),   known_.clients() + waiting_.clients,
                counts_.gaps, counts_.conflicts, counts_.merges};
    }

private:
    // Below this, merging more often saves no memory that counts.
    static constexpr std::size_t deleted_bytes_min = std::size_t{16} << 10;
    // The part of the document that must arrive, or be deleted, to pay for compacting it. As much
    // may be above the limit, because a full document must be editable as soon as content was
    // deleted.
    static constexpr std::size_t paid_part = std::size_t{64};

    [[nodiscard]] bool removes_deleted() const noexcept {
        return options_.compaction == Compaction::coalesce_and_scrub;
    }
    [[nodiscard]] bool must_merge() const noexcept {
        if (pending_.size() >= std::max(options_.pending_updates_max, merged_.size() / 1024) ||
            waiting_.bytes >= std::max(options_.pending_bytes_max, merged_.size() / 4)) {
            return true;
        }
        // The waiting updates mostly delete content of other ones among them.
        return removes_deleted() && pending_deletes_ &&
               waiting_.bytes >= std::max(deleted_bytes_min, merged_.size());
    }
    /// How much an update, or a document, has of each limit.
    struct Size {
        std::size_t bytes = 0;
        std::size_t structs = 0;  ///< with the gaps between them
        std::size_t clients = 0;
        std::size_t delete_ranges = 0;
    };
    /// Deleted content that is still in the document, and what pays for its removal.
    struct Garbage {
        std::size_t deleted_bytes = 0;    ///< as the last merge counted them
        std::size_t collected_bytes = 0;  ///< the document's length when they were removed last
        /// The bytes that have arrived since `check` compacted it; no_limit after a snapshot.
        std::size_t arrived_bytes = no_limit;
    };
    struct Counts {
        std::size_t gaps = 0;       ///< at the last merge
        std::size_t conflicts = 0;  ///< of all merges
        std::uint64_t merges = 0;
    };
    /// Returns how much there is of each limit. Waiting updates count in full.
    [[nodiscard]] Size size() const noexcept {
        return {bytes(), structs_ + waiting_.structs, known_.clients() + waiting_.clients,
                known_.delete_ranges() + waiting_.delete_ranges};
    }
    /// Raises the limits of a document that exceeds them before the first check: it was loaded, and
    /// stays editable.
    void raise_limits_if_loaded() {
        if (was_checked_) return;
        Size held = size();
        const bool exceeds = held.structs > options_.structs_max ||
                             held.clients > options_.clients_max ||
                             held.delete_ranges > options_.delete_ranges_max;
        if (exceeds) merge();
        held = size();
        const auto raise = [](std::size_t& most, std::size_t n) {
            if (n > most) most = n + most / 8;
        };
        raise(options_.structs_max, held.structs);
        raise(options_.clients_max, held.clients);
        raise(options_.delete_ranges_max, held.delete_ranges);
        was_checked_ = true;
    }
    /// Returns up to how many bytes the document may exceed its limit. Only the next merge counts
    /// what a waiting deletion removes.
    [[nodiscard]] std::size_t uncounted_bytes(bool deletes) const noexcept {
        const std::size_t most = removes_deleted() ? merged_.size() / paid_part : 0;
        return deletes || pending_deletes_ ? most : std::min(garbage_.deleted_bytes, most);
    }
    /// Returns how much of each limit an update exceeds.
    [[nodiscard]] Size missing_for(const Size& more, bool deletes) const noexcept {
        const Size most{options_.bytes_max, options_.structs_max, options_.clients_max,
                        options_.delete_ranges_max};
        Size held = size();
        held.bytes -= std::min(held.bytes, uncounted_bytes(deletes));
        held.structs -= std::min(waiting_.structs, most.structs / paid_part);
        Size missing;
        for (const auto of : {&Size::bytes, &Size::structs, &Size::clients, &Size::delete_ranges}) {
            const std::size_t left = most.*of - std::min(most.*of, held.*of);
            missing.*of = more.*of - std::min(more.*of, left);
        }
        return missing;
    }
    /// Returns the option of which something is missing; null if nothing is.
    [[nodiscard]] static const char* exceeded(const Size& missing) noexcept {
        if (missing.bytes != 0) return "YjsDocumentOptions::bytes_max";
        if (missing.structs != 0) return "YjsDocumentOptions::structs_max";
        if (missing.clients != 0) return "YjsDocumentOptions::clients_max";
        return missing.delete_ranges != 0 ? "YjsDocumentOptions::delete_ranges_max" : nullptr;
    }
    /// Whether enough has arrived since `check` compacted the document, with an update of `bytes`,
    /// or was deleted, to pay for compacting it.
    [[nodiscard]] bool is_paid(std::size_t bytes) const noexcept {
        const std::size_t price = merged_.size() / paid_part;
        return garbage_.arrived_bytes >= price || bytes >= price - garbage_.arrived_bytes ||
               garbage_.deleted_bytes >= price;
    }
    /// Whether compacting the document may make the space that is missing.
    [[nodiscard]] bool may_give_space(const Size& missing) const noexcept {
        if (removes_deleted() && (has_deleted_ || pending_deletes_)) return true;
        return waiting_.bytes >= missing.bytes && waiting_.structs >= missing.structs &&
               waiting_.clients >= missing.clients &&
               waiting_.delete_ranges >= missing.delete_ranges;
    }
    void add_arrived(std::size_t bytes) noexcept {
        garbage_.arrived_bytes += std::min(bytes, no_limit - garbage_.arrived_bytes);
    }
    /// A peer that has the document names all of its authors, regardless of how many updates
    /// brought them.
    [[nodiscard]] yjs::Limits limits_of_peer() const noexcept {
        yjs::Limits limits = options_.limits;
        limits.clients_max += std::min(known_.clients(), no_limit - limits.clients_max);
        return limits;
    }

    /// Reads bytes that were checked before. The bytes, and the views of them, must outlive the
    /// result.
    [[nodiscard]] static yjs::detail::Sources read(std::span<const BytesView> updates) {
        yjs::detail::Sources sources{updates};
        const auto error = yjs::detail::read_sources<false>(yjs::Limits::none(), sources);
        BELAY_INVARIANT(!error, "YjsDocument: the bytes must have been checked");
        return sources;
    }

    void merge() {
        if (pending_.empty()) return;
        std::vector<BytesView> updates;
        updates.reserve(pending_.size() + 1);
        if (!merged_.empty()) updates.emplace_back(merged_);
        updates.insert(updates.end(), pending_.begin(), pending_.end());
        yjs::detail::Sources sources = read(updates);
        yjs::detail::Merger merger{sources, true};
        yjs::Merged merged = merger.run();
        merged_ = std::move(merged.update);
        counts_.gaps = merged.gaps;
        counts_.conflicts += merged.conflicts;
        pending_.clear();
        waiting_ = {};
        structs_ = merger.structs();
        pending_deletes_ = false;
        // Without a deletion, only clients that set a key at the same time overwrite anything.
        has_deleted_ = !sources.deletes.empty() || sources.has_several_clients();
        known_ = yjs::detail::Coverage{merger.take_runs(), std::move(sources.deletes)};
        garbage_.deleted_bytes = merger.deleted_bytes();
        ++counts_.merges;
        const bool is_partly_gone = garbage_.deleted_bytes > merged_.size() / 8;
        if (is_partly_gone || merged_.size() / 2 > garbage_.collected_bytes + deleted_bytes_min) {
            return collect();
        }
        shrink();
    }
    void compact() {
        merge();
        if (has_deleted_) collect();
    }

    /// Removes deleted content from the merged update.
    void collect() {
        if (has_deleted_ && removes_deleted()) {
            const BytesView whole{merged_};
            yjs::detail::Sources sources = read({&whole, 1});
            Bytes collected = yjs::detail::collected(sources, structs_);
            merged_.swap(collected);
            known_.set_deletes(std::move(sources.deletes));
            ++counts_.merges;
        }
        has_deleted_ = false;
        garbage_.deleted_bytes = 0;
        garbage_.collected_bytes = merged_.size();
        shrink();
    }
    void shrink() {
        if (merged_.capacity() - merged_.size() > merged_.size() / 8) merged_.shrink_to_fit();
    }

    YjsDocumentOptions options_;  ///< with the raised limits of a document that was loaded
    Bytes merged_;
    std::vector<Bytes> pending_;
    Size waiting_{};  ///< the sum of the waiting updates
    bool was_checked_ = false;
    bool pending_deletes_ = false;  ///< an update that waits, or was checked, deletes something
    bool has_deleted_ = false;      ///< there may be deleted content in the merged update
    std::size_t structs_ = 0;       ///< of the merged update
    Garbage garbage_{};
    yjs::detail::Coverage known_;
    Counts counts_{};
};

}}  // namespace belay
