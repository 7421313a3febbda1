// SPDX-License-Identifier: MIT
// Goal: check::document accepts the documents of the library, and reports each planted mistake.
// Method: the updates that Yjs has recorded; a document of numbers with one mistake each.
#include <belay/room/document_check.hpp>

#include <memory>
#include <set>
#include <string>

#include <belay/yjs/yjs_document.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/room_archetypes.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using namespace belay_test;

namespace {

[[nodiscard]] std::string document_verdict(const std::optional<check::DocumentRule>& broken) {
    return broken ? to_string(*broken) : "right";
}

enum class Flaw {
    none,
    rejects_what_it_has,
    claims_to_have_what_it_lacks,
    keeps_only_growing_numbers,
    check_applies,
    accepts_everything,
    snapshot_lacks_the_first,
    copies_share,
    counts_nothing,
    diff_lacks_the_last,
    diff_adds
};

/// A set of numbers from 1 to 99. Each byte of an update, of a state vector or of a diff is one.
class Numbers {
public:
    explicit Numbers(Flaw flaw) : flaw_{flaw} {}

    [[nodiscard]] Result<bool> check(BytesView update) {
        const bool is_wrong = std::any_of(update.begin(), update.end(), [](std::byte b) {
            return b == std::byte{0} || b > std::byte{99};
        });
        if (is_wrong && flaw_ != Flaw::accepts_everything) return wrong();
        const bool adds = std::any_of(update.begin(), update.end(),
                                      [&](std::byte b) { return !set().contains(b); });
        if (flaw_ == Flaw::rejects_what_it_has && !adds) return wrong();
        if (flaw_ == Flaw::check_applies) static_cast<void>(apply(update));
        return adds && (flaw_ != Flaw::claims_to_have_what_it_lacks || update[0] < std::byte{9});
    }
    [[nodiscard]] std::error_code apply(BytesView update) {
        for (const std::byte b : update) {
            const bool grows = set().empty() || *set().rbegin() < b;
            if (flaw_ != Flaw::keeps_only_growing_numbers || grows) set().insert(b);
        }
        return {};
    }
    [[nodiscard]] std::span<const Bytes> snapshot() {
        snapshot_ = {Bytes{set().begin(), set().end()}};
        if (flaw_ == Flaw::snapshot_lacks_the_first && !set().empty())
            snapshot_[0].erase(snapshot_[0].begin());
        return snapshot_;
    }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return flaw_ == Flaw::counts_nothing ? 0 : own_.size() + shared_->size();
    }
    [[nodiscard]] Bytes state_vector() { return Bytes{set().begin(), set().end()}; }
    [[nodiscard]] Result<Bytes> diff(BytesView theirs) {
        Bytes lacks;
        for (const std::byte b : set()) {
            if (std::find(theirs.begin(), theirs.end(), b) == theirs.end()) lacks.push_back(b);
        }
        if (flaw_ == Flaw::diff_lacks_the_last && theirs.size() == 2 && !lacks.empty())
            lacks.pop_back();
        if (flaw_ == Flaw::diff_adds && lacks.empty() && theirs.size() > 2)
            lacks.push_back(std::byte{99});
        return lacks;
    }

private:
    static std::error_code wrong() { return std::make_error_code(std::errc::invalid_argument); }
    [[nodiscard]] std::set<std::byte>& set() {
        return flaw_ == Flaw::copies_share ? *shared_ : own_;
    }

    Flaw flaw_;
    std::set<std::byte> own_;
    std::shared_ptr<std::set<std::byte>> shared_ = std::make_shared<std::set<std::byte>>();
    std::vector<Bytes> snapshot_;
};

[[nodiscard]] std::string verdict_on_numbers(Flaw flaw) {
    const std::vector<Bytes> updates{from_hex("0507"), from_hex("02"), from_hex("0502"),
                                     from_hex("0b0c")};
    const std::vector<Bytes> rejected{from_hex("0500")};
    return document_verdict(check::document(Numbers{flaw}, updates, rejected));
}

}  // namespace

TEST_CASE("check::document finds no fault in the documents of the library",
          "[room][document_check][unit]") {
    for (const auto& vector : yjs_vectors) {
        if (vector.name == "empty") continue;
        std::vector<Bytes> updates;
        for (const auto hex : vector.updates) updates.push_back(from_hex(hex));
        INFO(vector.name);
        const std::vector<Bytes> rejected{from_hex("01"), from_hex("ff")};
        CHECK(document_verdict(check::document(YjsDocument{}, updates, rejected)) == "right");
    }
}

TEST_CASE("check::document needs only the members of DocumentLike",
          "[room][document_check][unit]") {
    CHECK(document_verdict(check::document(MinimalDocument{0}, {})) == "right");
}

TEST_CASE("check::document reports the rule that each planted mistake breaks",
          "[room][document_check][unit]") {
    using Rule = check::DocumentRule;
    CHECK(verdict_on_numbers(Flaw::none) == "right");
    const std::pair<Flaw, Rule> flaws[] = {
        {Flaw::rejects_what_it_has, Rule::accepts_its_updates},
        {Flaw::claims_to_have_what_it_lacks, Rule::false_is_reliable},
        {Flaw::keeps_only_growing_numbers, Rule::any_order_and_twice},
        {Flaw::check_applies, Rule::check_changes_nothing},
        {Flaw::accepts_everything, Rule::rejects_what_is_wrong},
        {Flaw::snapshot_lacks_the_first, Rule::snapshot_restores},
        {Flaw::copies_share, Rule::copies_are_independent},
        {Flaw::counts_nothing, Rule::counts_bytes},
        {Flaw::diff_lacks_the_last, Rule::diff_completes},
        {Flaw::diff_adds, Rule::diff_of_everything_adds_nothing}};
    for (const auto& [flaw, rule] : flaws) CHECK(verdict_on_numbers(flaw) == to_string(rule));
}
