// SPDX-License-Identifier: MIT
// Goal: for any clocks, each edit of an element is kept, seen by the author who replaced it, or
// reported, and all authors get the version of the server. Method: sim::exhaust over all sequences
// of edits, messages, lost answers and readings.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/sim/exhaust.hpp>
#include <belay/sync/detail/operation_processor.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sim/left_out.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace causality_exploration {

// The value of an edit is its number.
using Op = Operation<std::uint32_t>;
using part::Presence;

constexpr std::size_t edits_of_all_max = 9;

Id id_of(std::size_t number) {
    Id id{};
    id[0] = static_cast<std::byte>(number + 1);
    return id;
}
std::size_t number_of(const Id& id) { return static_cast<std::size_t>(id[0]) - 1; }

/// A version of the element, and the edits that it consists of: one, or several removals.
struct Version {
    Presence presence = Presence::absent;
    Stamp stamp{};
    unsigned edits = 0;
};

/// A StoreLike with one element. All of its state is in fields.
struct Store {
    using operation_type = Op;
    struct Remembered {
        part::AppliedMark mark{};
        Version replaced{};
    };

    Result<part::ElementState> find(const part::ElementKey&) const {
        return part::ElementState{here.presence, here.stamp};
    }
    Result<std::optional<std::uint32_t>> read(const part::ElementKey&) const {
        return value_of(here);
    }
    std::error_code add(const part::ElementKey&, std::uint32_t, const part::WriteMark& mark) {
        return write(Presence::live, mark);
    }
    std::error_code update(const part::ElementKey&, std::uint32_t, const part::WriteMark& mark) {
        if (here.presence != Presence::live) return SyncErrc::store_disagrees;
        return write(Presence::live, mark);
    }
    std::error_code remove(const part::ElementKey&, const part::WriteMark& mark) {
        return write(Presence::removed, mark);
    }
    std::error_code remember(const part::WriteMark& mark) {
        remembered[number_of(mark.operation)] = {{mark.hash, mark.decision}, here};
        return {};
    }
    Result<std::optional<part::AppliedMark>> applied(const Id& id) const {
        const part::AppliedMark& mark = remembered[number_of(id)].mark;
        if (mark.decision == part::Decision::unknown) return std::optional<part::AppliedMark>{};
        return std::optional{mark};
    }
    Result<std::optional<part::ReplacedVersion<std::uint32_t>>> replaced(const Id& id) const {
        const Version& version = remembered[number_of(id)].replaced;
        return std::optional{
            part::ReplacedVersion<std::uint32_t>{version.stamp, value_of(version)}};
    }
    std::error_code expire(WallTime) { return {}; }
    [[nodiscard]] WallTime horizon() const noexcept { return WallTime::min(); }

    Version here{};
    std::array<Remembered, edits_of_all_max> remembered{};

private:
    static std::optional<std::uint32_t> value_of(const Version& version) {
        if (version.presence != Presence::live) return std::nullopt;
        std::uint32_t number = 0;
        while ((version.edits >> number & 1U) == 0) ++number;
        return number;
    }
    std::error_code write(Presence presence, const part::WriteMark& mark) {
        if (mark.operation == no_id) {  // the same version, with another stamp
            here.stamp = mark.stamp;
            return {};
        }
        static_cast<void>(remember(mark));
        // If an operation loses against a removal, the removal is written again.
        const bool is_same = here.presence == presence && here.stamp == mark.stamp;
        if (is_same && mark.decision == part::Decision::concurrent) return {};
        const bool agree = presence == Presence::removed && here.presence == Presence::removed;
        const unsigned edit = 1U << number_of(mark.operation);
        here = {presence, mark.stamp, agree ? here.edits | edit : edit};
        return {};
    }
};
static_assert(StoreLike<Store>);

struct Author {
    Version view{};
    std::vector<Op> unsent{};
    unsigned made = 0;
};

/// Gives a stamp, or a version, to a digest.
void give(NamedFields& f, std::string_view part, const Stamp& s) {
    f(part, "wall", s.wall.time_since_epoch().count());
    f(part, "counter", s.counter);
    f(part, "origin", s.origin[0]);
}
void give(NamedFields& f, std::string_view part, const Version& v) {
    f(part, "presence", v.presence);
    give(f, part, v.stamp);
}

template <class Strategy>
struct Model {
    std::size_t count = 2;
    unsigned edits_each = 3;
    // A clock shows one of this many times at each edit.
    std::int64_t times = 2;
    int lost_answers = 0;
    bool includes_saw = true;
    // All authors are copies of one device, which give stamps of one origin.
    bool copied = false;
    FieldNames left_out{};

    std::array<Author, 3> authors{};
    Store store{};
    std::array<Version, edits_of_all_max> seen{};  // what the author of each edit saw
    unsigned accounted = 0;  // the edits that an author saw and replaced, or that were reported

    void step(sim::Choice& c) {
        const std::size_t event =
            c.choose({"edit", "send", "read", "send, and the answer is lost"});
        const std::size_t i = c.choose("author", count);
        Author& author = authors[i];
        switch (event) {
            case 0:
                c.unfair();
                if (author.made == edits_each) return c.impossible();
                edit(c, author, i);
                break;
            case 1: {
                if (author.unsent.empty()) return c.impossible();
                accounted |= judge(c, author.unsent.front());
                author.unsent.erase(author.unsent.begin());
                break;
            }
            case 2:
                if (!author.unsent.empty() || author.view.stamp == store.here.stamp) {
                    return c.impossible();
                }
                author.view = store.here;
                break;
            default:
                c.unfair();
                if (author.unsent.empty() || lost_answers == 0) return c.impossible();
                --lost_answers;
                static_cast<void>(judge(c, author.unsent.front()));
                break;
        }
        check(c);
    }
    void edit(sim::Choice& c, Author& author, std::size_t i) {
        struct Reading {
            WallTime time;
            [[nodiscard]] WallTime now() const noexcept { return time; }
        };
        const auto time =
            static_cast<std::int64_t>(c.choose("time", static_cast<std::size_t>(times)));
        HybridClock<Reading> clock{id_of(copied ? 0 : i), Reading{WallTime{Duration{10 + time}}}};
        const std::size_t number = i * edits_each + author.made++;
        Op op{id_of(number), clock.stamp_above(author.view.stamp).value(), {}, author.view.stamp};
        const auto value = static_cast<std::uint32_t>(number);
        const bool is_live = author.view.presence == Presence::live;
        const bool removes = is_live && c.choose({"update", "remove"}) == 1;
        if (removes) {
            op.action = RemoveElement{"e"};
        } else if (is_live) {
            op.action = UpdateElement<std::uint32_t>{"e", value, {}};
        } else {
            op.action = AddElement<std::uint32_t>{"e", value};
        }
        seen[number] = author.view;
        author.view = {removes ? Presence::removed : Presence::live, op.stamp, 1U << number};
        if (!includes_saw) op.saw.reset();
        author.unsent.push_back(std::move(op));
    }
    /// Returns the edits that the result reports.
    unsigned judge(sim::Choice& c, const Op& op) {
        Strategy strategy{};
        const SyncOptions options{.skew_max = 24h};
        const Version before = store.here;
        const bool is_again = store.applied(op.id).value().has_value();
        detail::OperationProcessor<Store, Strategy> processor{store, strategy, options};
        const auto result = processor.process("s", op, WallTime{Duration{10}}, std::nullopt);
        c.result(result.outcome);
        c.require(!result.error, "no edit is an error");
        c.require(
            result.outcome == (is_again ? detail::OperationOutcome::duplicate : result.outcome),
            "an edit is decided once");
        c.require(!is_again || store.here.stamp == before.stamp, "a repetition changes nothing");
        if (!result.conflict) {
            if (has_seen(op, before)) accounted |= before.edits;
            return 0;
        }
        c.result(result.conflict->reason.index());
        const auto& replaced = result.conflict->replaced;
        if (!replaced) {
            c.reach("skipped");
            return 1U << number_of(op.id);
        }
        c.reach(is_again ? "reported again" : "replaced");
        const Version& version = is_again ? store.remembered[number_of(op.id)].replaced : before;
        c.require(replaced->stamp == version.stamp, "the report has the version that was there");
        return version.edits;
    }

    /// Returns whether the author saw this version. If it consists of several removals, they agree.
    /// The other copy of a device may have given its stamp to another version.
    [[nodiscard]] bool has_seen(const Op& op, const Version& version) const {
        if (op.saw != version.stamp) return false;
        const Version& its = seen[number_of(op.id)];
        const bool agree =
            its.presence == Presence::removed && version.presence == Presence::removed;
        return agree || its.edits == version.edits;
    }

    void check(sim::Choice& c) const {
        unsigned found = accounted | store.here.edits;
        unsigned all = 0;
        for (std::size_t i = 0; i < count; ++i) {
            for (const Op& op : authors[i].unsent) {
                found |= 1U << number_of(op.id) | to_report(op);
            }
            all |= ((1U << authors[i].made) - 1) << i * edits_each;
        }
        c.require((found & all) == all, "an edit is kept, seen or reported");
        c.result(accounted);
    }
    /// Returns the edits that the next answer to an edit reports, because an answer was lost.
    [[nodiscard]] unsigned to_report(const Op& op) const {
        const Store::Remembered& known = store.remembered[number_of(op.id)];
        return part::overwrites(known.mark.decision) ? known.replaced.edits : 0;
    }
    /// Returns whether all authors have the version of the server, and nothing is under way.
    [[nodiscard]] bool settled() const {
        for (std::size_t i = 0; i < count; ++i) {
            const Author& author = authors[i];
            if (!author.unsent.empty() || author.view.stamp != store.here.stamp) return false;
        }
        return true;
    }
    void digest(sim::Digest& d) const {
        NamedFields fields{d, left_out};
        each_field(fields);
    }
    void each_field(NamedFields& f) const {
        f("accounted", accounted);
        f("lost answers", lost_answers);
        give(f, "server", store.here);
        f("server", "edits", store.here.edits);
        for (std::size_t i = 0; i < count; ++i) {
            f("made", authors[i].made);
            give(f, "view", authors[i].view);
            // Otherwise the stamp shows that.
            if (copied) f("view", "edits", authors[i].view.edits);
            f("unsent", authors[i].unsent.size());
            for (const Op& op : authors[i].unsent) {
                f("id", op.id[0]);
                f("kind", op.kind());
                give(f, "stamp", op.stamp);
                give(f, "saw", op.saw.value_or(Stamp{}));
                // An answered operation is not sent again, so its decision does not matter.
                f("decision", store.remembered[number_of(op.id)].mark.decision);
                f("to report", to_report(op));
                if (!copied) continue;
                give(f, "seen", seen[number_of(op.id)]);
                f("seen", "edits", seen[number_of(op.id)].edits);
            }
        }
    }
    [[nodiscard]] std::size_t bytes() const {
        std::size_t ops = 0;
        for (const Author& author : authors) ops += author.unsent.capacity();
        return ops * sizeof(Op);
    }
};

/// Explores to a depth, or to BELAY_DEPTH.
template <class M>
sim::ExhaustReport explored(const M& model, std::uint32_t depth) {
    depth = static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", depth));
    return sim::exhaust({.depth = depth}, model);
}

TEST_CASE("Causality: every sequence of steps of two authors with three edits each loses none",
          "[sync][causality][exploration][sim]") {
    const auto check = [](auto model) {
        model.lost_answers = 1;
        const sim::ExhaustReport report = explored(model, 60);
        CHECK(report);
        CHECK(report.complete);
        return report.marks;
    };
    CHECK(check(Model<LastWriteWins>{}).contains("reported again"));
    CHECK(check(Model<LocalWins>{}).contains("skipped"));
    CHECK(check(Model<RemoteWins>{}).contains("reported again"));
}

TEST_CASE("Causality: every sequence of steps of two copies of one device loses no edit",
          "[sync][causality][exploration][sim]") {
    const auto check = [](auto model) {
        model.copied = true;
        model.lost_answers = 1;
        const sim::ExhaustReport report = explored(model, 60);
        CHECK(report);
        CHECK(report.complete);
        return report.marks;
    };
    CHECK(check(Model<LastWriteWins>{}).contains("skipped"));
    CHECK(check(Model<RemoteWins>{}).contains("replaced"));
}

TEST_CASE("Causality: every sequence of steps of three authors loses no edit",
          "[sync][causality][exploration][sim]") {
    const auto check = [](auto model) {
        model.count = 3;
        model.times = 3;
        model.lost_answers = 1;
        // Three edits each are too many states for 1 GiB.
        CHECK(explored(model, 5));
        model.edits_each = 1;
        CHECK(explored(model, 60).complete);
    };
    check(Model<LastWriteWins>{});
    check(Model<LocalWins>{});
    check(Model<RemoteWins>{});
}

TEST_CASE("Causality: an exploration without the version that an author saw finds a lost edit",
          "[sync][causality][exploration][sim]") {
    Model<LastWriteWins> model{.includes_saw = false};
    const sim::ExhaustReport report = sim::exhaust({.depth = 20, .print = false}, model);
    CHECK(report.problem == "an edit is kept, seen or reported");
}

TEST_CASE("Causality: a field that is left out of the digest is detected",
          "[sync][causality][exploration][sim]") {
    // The fields that the others imply here. A digest without all of them has as many states.
    const std::vector<std::string_view> implied{
        "accounted",     "id",           "server.presence", "server.wall",
        "stamp.counter", "stamp.origin", "stamp.wall",      "unsent"};
    Model<RemoteWins> model{.edits_each = 2, .lost_answers = 1};
    const auto explored_without = [&](const std::vector<std::string_view>& left_out) {
        model.left_out = left_out;
        return sim::exhaust({.depth = 60, .recheck_percent = 100, .recheck_max = 5, .print = false},
                            model);
    };
    const sim::ExhaustReport whole = explored_without({});
    const sim::ExhaustReport without_implied = explored_without(implied);
    CHECK(whole);
    CHECK(without_implied);
    CHECK(whole.states == without_implied.states);

    std::set<std::string> names;
    sim::Digest digest;
    NamedFields fields{digest, {}, &names};
    model.authors[0].unsent.push_back({id_of(0), Stamp{}, RemoveElement{"e"}, Stamp{}});
    model.each_field(fields);
    model.authors[0].unsent.clear();
    for (const std::string_view name : implied) CHECK(names.erase(std::string{name}) == 1);
    CHECK(names.size() == 15);
    for (const std::string& name : names) {
        INFO(name);
        std::vector<std::string_view> left_out = implied;
        left_out.push_back(name);
        CHECK(finds_difference(explored_without(left_out)));
    }
}

}  // namespace causality_exploration
