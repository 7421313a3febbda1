// SPDX-License-Identifier: MIT
/// \file belay/room/document_check.hpp
/// check::document: tests whether a document of rooms is correct; room.hpp does not include it.
#pragma once

#include <algorithm>     // std::reverse, std::rotate, std::sort
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <system_error>  // std::error_code
#include <utility>       // std::as_const, std::move
#include <vector>        // std::vector

#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a document that the compiler cannot check.
///
/// DocumentLike explains them.
enum class DocumentRule : std::uint8_t {
    accepts_its_updates,
    false_is_reliable,
    any_order_and_twice,
    check_changes_nothing,
    rejects_what_is_wrong,
    snapshot_restores,
    copies_are_independent,
    counts_bytes,
    diff_of_everything_adds_nothing,
    diff_completes
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(DocumentRule rule) noexcept {
    constexpr const char* sentences[] = {
        "check and apply accept each update, also one that the document has",
        "check returns false only for an update that the document has",
        "the same updates in any order, and twice, make the same document",
        "check changes nothing",
        "check returns an error for each update that must be rejected",
        "the updates of snapshot, applied to an empty document, make the document again",
        "a copy of a document shares nothing with it",
        "bytes is greater for a document with content than for an empty one",
        "diff of the document's own state vector adds nothing to it",
        "diff returns what a document with this state vector lacks"};
    return sentences[static_cast<std::size_t>(rule)];
}

/// Compares two documents by what an empty document lacks.
struct SameContent {
    template <DocumentLike D>
    [[nodiscard]] bool operator()(D& a, D& b, const D& empty) const {
        return content_of(a, empty) == content_of(b, empty);
    }

private:
    template <class D>
    static Bytes content_of(D& document, const D& empty) {
        const auto all = document.diff(D{empty}.state_vector());
        return all.has_value() ? Bytes{*all} : Bytes{};
    }
};

}  // namespace check

namespace detail {

/// The tests of check::document.
template <class D, class Same>
class DocumentChecker {
public:
    DocumentChecker(const D& empty, std::span<const Bytes> updates, Same same)
        : empty_{empty}, updates_{updates.begin(), updates.end()}, same_{std::move(same)} {}

    [[nodiscard]] std::optional<check::DocumentRule> broken(std::span<const Bytes> rejected) {
        D full{empty_};
        for (const Bytes& update : updates_) {
            if (!full.check(update).has_value() || failed(full.apply(update)) ||
                !full.check(update).has_value())
                return check::DocumentRule::accepts_its_updates;
        }
        D untouched{empty_};
        if (!equal(untouched, D{empty_}) || (!updates_.empty() && equal(untouched, full)))
            return check::DocumentRule::copies_are_independent;
        if (!updates_.empty() && std::as_const(full).bytes() <= empty_.bytes())
            return check::DocumentRule::counts_bytes;
        for (const Bytes& update : rejected) {
            if (untouched.check(update).has_value())
                return check::DocumentRule::rejects_what_is_wrong;
        }
        for (const Bytes& update : updates_) static_cast<void>(untouched.check(update));
        if (!equal(untouched, D{empty_})) return check::DocumentRule::check_changes_nothing;
        if (!restores(full)) return check::DocumentRule::snapshot_restores;
        if (const auto rule = orders(full)) return rule;
        return differences(full);
    }

private:
    template <class E>
    [[nodiscard]] static bool failed(const E& error) {
        return static_cast<bool>(static_cast<std::error_code>(error));
    }
    template <class R>
    [[nodiscard]] static bool adds(D& document, const R& diff) {
        if (!diff.has_value()) return false;
        const Bytes update = *diff;
        return !failed(document.apply(update));
    }
    [[nodiscard]] bool equal(D& a, D b) { return same_(a, b, empty_); }

    [[nodiscard]] bool restores(D& full) {
        D restored{empty_};
        for (const Bytes& part : full.snapshot()) {
            if (failed(restored.apply(part))) return false;
        }
        return equal(restored, full);
    }
    /// Applies the updates in other orders, twice, and in one document only those that check
    /// reports as new.
    [[nodiscard]] std::optional<check::DocumentRule> orders(D& full) {
        std::vector<Bytes> order = updates_;
        for (std::size_t round = 0; round < 2 * updates_.size(); ++round) {
            if (round == updates_.size()) std::reverse(order.begin(), order.end());
            D all{empty_};
            D added{empty_};
            for (int twice = 0; twice < 2; ++twice) {
                for (const Bytes& update : order) {
                    if (failed(all.apply(update))) return check::DocumentRule::accepts_its_updates;
                    const auto adds = added.check(update);
                    if (!adds.has_value()) return check::DocumentRule::accepts_its_updates;
                    if (*adds && failed(added.apply(update)))
                        return check::DocumentRule::accepts_its_updates;
                }
            }
            if (!equal(all, full)) return check::DocumentRule::any_order_and_twice;
            if (!equal(added, full)) return check::DocumentRule::false_is_reliable;
            std::rotate(order.begin(), order.begin() + 1, order.end());
        }
        return std::nullopt;
    }
    /// Completes documents that have only the first updates.
    [[nodiscard]] std::optional<check::DocumentRule> differences(D& full) {
        D same{full};
        const auto nothing = same.diff(same.state_vector());
        if (!adds(same, nothing) || !equal(same, full))
            return check::DocumentRule::diff_of_everything_adds_nothing;
        D part{empty_};
        for (std::size_t known = 0; known < updates_.size(); ++known) {
            D peer{part};
            const auto diff = full.diff(peer.state_vector());
            if (!adds(peer, diff) || !equal(peer, full)) return check::DocumentRule::diff_completes;
            static_cast<void>(part.apply(updates_[known]));
        }
        return std::nullopt;
    }

    const D& empty_;
    std::vector<Bytes> updates_;
    Same same_;
};

}  // namespace detail

namespace check {

/// Tests a document with some updates, and returns the first broken rule.
///
/// Returns nothing if the document keeps all rules.
///
///     const std::vector<Bytes> updates{...};  // that an editor has sent
///     const auto broken = check::document(Mine{}, updates);
///     if (broken) std::puts(to_string(*broken));
///
/// - `updates` are updates that the document must accept. Together they add something.
/// - `rejected` are updates that it must reject.
/// - `same(a, b, empty)` returns whether two documents have the same content. Pass one of your own
///   if documents with the same content may have different snapshots.
///
/// Errors:     the rule.   Throws: what the document throws, and std::bad_alloc.
/// Complexity: O(n^2) calls for n updates.
template <DocumentLike D, class Same = SameContent>
[[nodiscard]] std::optional<DocumentRule> document(const D& empty, std::span<const Bytes> updates,
                                                   std::span<const Bytes> rejected = {},
                                                   Same same = {}) {
    return detail::DocumentChecker<D, Same>{empty, updates, std::move(same)}.broken(rejected);
}

}  // namespace check

}}  // namespace belay
