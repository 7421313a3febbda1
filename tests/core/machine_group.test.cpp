// SPDX-License-Identifier: MIT
// Goal: a MachineGroup behaves like a loop over all children, but advances only those that are
// due or woken; children are added, removed, and may destroy the parent at any time. Method: the
// same random history over a MachineGroup and over a naive one; then each promise by itself,
// threads included.
#include <belay/core/machine_group.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::for_each_seed;

static_assert(MachineLike<belay::driver::MachineGroup>);
static_assert(!std::is_copy_constructible_v<belay::driver::MachineGroup>);
static_assert(std::is_nothrow_move_constructible_v<
              belay::driver::GroupedMachine<belay::driver::MachineGroup>>);

namespace {

/// A child whose turns the test controls.
struct ScriptedChild {
    using Turn = std::function<void(ScriptedChild&, Instant)>;
    ScriptedChild(int i, Turn f) : id{i}, turn{std::move(f)} {}
    void attach(Waker w) { waker = std::move(w); }
    [[nodiscard]] Instant deadline() const noexcept { return due; }
    void advance(Instant now) {
        ++turns;
        due = never;
        if (turn) turn(*this, now);
    }
    void ask_for(Instant t) {
        due = t;
        waker.touch();
    }

    int id;
    Turn turn;
    Instant due = never;
    int turns = 0;
    Waker waker;
};

/// The specification of a MachineGroup: it advances every child in every turn.
class NaiveGroup {
    using Child = std::shared_ptr<ScriptedChild>;

public:
    struct Handle {
        Child chick;
        NaiveGroup* group = nullptr;
        ScriptedChild* operator->() const { return chick.get(); }
        void reset() {
            if (!chick) return;
            std::erase(group->all_, chick);
            for (Child& c : group->rest_) {
                if (c == chick) c.reset();
            }
            chick.reset();
        }
    };

    void attach(Waker) {}
    Handle hatch(int id, ScriptedChild::Turn f) {
        all_.push_back(std::make_shared<ScriptedChild>(id, std::move(f)));
        return {all_.back(), this};
    }
    [[nodiscard]] Instant deadline() const {
        if (!rest_.empty()) return always;
        Instant first = never;
        for (const Child& c : all_) first = std::min(first, c->due);
        return first;
    }
    void advance(Instant now, std::size_t most) {
        skip_removed();
        if (rest_.empty()) {
            for (const Child& c : all_) {
                if (c->due <= now) rest_.push_back(c);
            }
            std::stable_sort(rest_.begin(), rest_.end(),
                             [](const Child& a, const Child& b) { return a->due < b->due; });
        }
        while (most != 0 && !rest_.empty()) {
            const Child next = rest_.front();
            rest_.erase(rest_.begin());
            --most;
            next->advance(now);
            skip_removed();
        }
    }

private:
    void skip_removed() {
        while (!rest_.empty() && !rest_.front()) rest_.erase(rest_.begin());
    }
    std::vector<Child> all_;
    std::vector<Child> rest_;
};

struct RealGroup : belay::driver::MachineGroup {
    using Handle = belay::driver::GroupedMachine<ScriptedChild>;
    Handle hatch(int id, ScriptedChild::Turn f) { return make<ScriptedChild>(id, std::move(f)); }
};

/// A random history, with one seed for all draws.
template <class N>
class GroupScript {
public:
    explicit GroupScript(Seed seed) : bits{seed} {
        const bool early = draw(1) == 0;
        if (early) group.attach(Waker{});
        for (int i = 0; i < 6; ++i) hatch();
        if (!early) group.attach(Waker{});
    }
    std::vector<std::int64_t> run() {
        for (int step = 0; step < 60; ++step) {
            act();
            // The turns are also too early, and too late.
            now = std::max(now, Instant{Duration{static_cast<std::int64_t>(draw(90))}});
            const auto most = static_cast<std::size_t>(draw(5) == 0 ? 2 : 256);
            log.push_back(-now.time_since_epoch().count());
            group.advance(now, most);
        }
        return log;
    }

private:
    std::uint64_t draw(std::uint64_t last) { return uniform_upto(bits, last); }
    Instant soon() {
        const auto kind = draw(9);
        if (kind == 0) return always;
        if (kind == 1) return never;
        return now + Duration{static_cast<std::int64_t>(draw(12))};
    }
    void hatch() {
        handles.push_back(group.hatch(next_id++, [this](ScriptedChild& self, Instant at) {
            log.push_back(self.id);
            CHECK(at == now);
            // A removed child must not be used after this.
            if (draw(2) != 0) self.due = soon();
            if (draw(2) == 0) act();
        }));
    }
    void act() {
        switch (draw(4)) {
            case 0:
                return hatch();
            case 1:
                if (!handles.empty()) {
                    const std::size_t i = pick();
                    auto out = std::move(handles[i]);
                    handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(i));
                    log.push_back(1'000'000 + out->id);
                    out.reset();
                }
                return;
            default:
                if (!handles.empty()) handles[pick()]->ask_for(soon());
        }
    }
    std::size_t pick() { return static_cast<std::size_t>(draw(handles.size() - 1)); }

    Random bits;
    Instant now{};
    int next_id = 0;
    std::vector<std::int64_t> log;
    N group;
    std::vector<typename N::Handle> handles;
};

struct CountingParent : belay::driver::WakeNode {
    CountingParent() : belay::driver::WakeNode{table} {}
    Waker waker() {
        references.fetch_add(1);
        return {belay::driver::WakeHandle::adopt(this), Seed{3}};
    }
    static CountingParent& of(belay::driver::WakeNode& n) {
        return static_cast<CountingParent&>(n);
    }
    static const belay::driver::WakeOps table;
    std::atomic<int> wakes{0};
    int touches = 0;
};
const belay::driver::WakeOps CountingParent::table{
    [](belay::driver::WakeNode& n) noexcept { ++of(n).wakes; },
    [](belay::driver::WakeNode& n) noexcept { ++of(n).touches; },
    [](belay::driver::WakeNode&) noexcept { return Instant{42s}; },
    [](belay::driver::WakeNode&) noexcept {}, [](belay::driver::WakeNode*) noexcept {}};

}  // namespace

TEST_CASE("MachineGroup behaves as if it advanced every child in every turn",
          "[core][machine_group][property]") {
    for_each_seed([](Seed seed) {
        const auto naive = GroupScript<NaiveGroup>{seed}.run();
        const auto real = GroupScript<RealGroup>{seed}.run();
        REQUIRE(real == naive);
    });
}

TEST_CASE("MachineGroup never advances a child that is idle", "[core][machine_group][unit]") {
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    std::vector<belay::driver::GroupedMachine<ScriptedChild>> all;
    for (int i = 0; i < 10'000; ++i) all.push_back(group.make<ScriptedChild>(i, nullptr));
    REQUIRE(group.advance(Instant{}));
    CHECK(group.deadline() == never);
    for (int round = 1; round <= 100; ++round) {
        all[77]->ask_for(Instant{});
        CHECK(group.deadline() == always);
        REQUIRE(group.advance(Instant{}));
        CHECK(all[77]->turns == round);
        CHECK(group.deadline() == never);
    }
    int turns = 0;
    for (const auto& c : all) turns += c->turns;
    CHECK(turns == 100);
    CHECK(group.size() == 10'000);
}

TEST_CASE(
    "MachineGroup::deadline is the earliest of its children, and reads one only after a touch",
    "[core][machine_group][unit]") {
    CountingParent parent;
    belay::driver::MachineGroup group;
    group.attach(parent.waker());
    CHECK(group.deadline() == never);
    auto a = group.make<ScriptedChild>(1, nullptr);
    auto b = group.make<ScriptedChild>(2, nullptr);
    a->due = Instant{5s};
    b->due = Instant{3s};
    REQUIRE(group.advance(Instant{1s}));
    CHECK(group.deadline() == Instant{3s});
    const int before = parent.touches;
    b->ask_for(Instant{9s});
    b->ask_for(Instant{9s});
    CHECK(parent.touches == before + 1);
    REQUIRE(group.advance(Instant{2s}));
    CHECK(group.deadline() == Instant{5s});
    a.reset();
    CHECK(group.deadline() == Instant{9s});
    CHECK(b->turns == 0);
    CHECK(b->waker.now() == Instant{42s});
}

TEST_CASE("MachineGroup runs a bounded number of children in a turn, and starves none",
          "[core][machine_group][unit]") {
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    std::vector<belay::driver::GroupedMachine<ScriptedChild>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(
            group.make<ScriptedChild>(i, [](ScriptedChild& self, Instant) { self.due = always; }));
        all.back()->due = always;
    }
    for (int turn = 0; turn < 12; ++turn) {
        REQUIRE(group.advance(Instant{}, 3));
        CHECK(group.deadline() <= Instant{});
    }
    for (const auto& c : all) CHECK((c->turns >= 2 && c->turns <= 4));
}

TEST_CASE("A child that removes itself is destroyed at the end of its turn",
          "[core][machine_group][unit]") {
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    auto lifetime = std::make_shared<int>(0);
    belay::driver::GroupedMachine<ScriptedChild> child;
    child = group.make<ScriptedChild>(1, [&child, lifetime](ScriptedChild& self, Instant) {
        child.reset();
        CHECK(self.id == 1);
        CHECK(lifetime.use_count() == 2);
    });
    child->due = always;
    REQUIRE(group.advance(Instant{}));
    CHECK(lifetime.use_count() == 1);
    CHECK(group.size() == 0);
    CHECK(group.deadline() == never);
}

TEST_CASE("A child that is removed by another has no further turn", "[core][machine_group][unit]") {
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    std::vector<belay::driver::GroupedMachine<ScriptedChild>> all(3);
    int turns = 0;
    for (int i = 0; i < 3; ++i) {
        all[static_cast<std::size_t>(i)] =
            group.make<ScriptedChild>(i, [&](ScriptedChild& self, Instant) {
                ++turns;
                for (auto& c : all) {
                    if (c && c->id != self.id) c.reset();
                }
            });
        all[static_cast<std::size_t>(i)]->due = always;
    }
    REQUIRE(group.advance(Instant{}));
    CHECK(turns == 1);
    CHECK(group.size() == 1);
}

TEST_CASE("A child may destroy its parent, and be destroyed with it after its turn",
          "[core][machine_group][unit]") {
    struct Parent {
        belay::driver::MachineGroup group;
        std::vector<belay::driver::GroupedMachine<ScriptedChild>> children;
    };
    auto lifetime = std::make_shared<int>(0);
    auto parent = std::make_unique<Parent>();
    parent->group.attach(Waker{});
    for (int i = 0; i < 3; ++i) {
        parent->children.push_back(
            parent->group.make<ScriptedChild>(i, [&parent, lifetime](ScriptedChild& self, Instant) {
                parent.reset();
                CHECK(lifetime.use_count() >= 2);
                self.waker.touch();
                CHECK(self.waker.now() == always);
            }));
        parent->children.back()->due = always;
    }
    CHECK_FALSE(parent->group.advance(Instant{}));
    CHECK_FALSE(parent);
    CHECK(lifetime.use_count() == 1);
}

TEST_CASE("A child's exception ends the turn; the next turn continues with the other children",
          "[core][machine_group][fault]") {
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    std::vector<int> log;
    std::vector<belay::driver::GroupedMachine<ScriptedChild>> all;
    for (int i = 0; i < 4; ++i) {
        all.push_back(group.make<ScriptedChild>(i, [&log](ScriptedChild& self, Instant) {
            log.push_back(self.id);
            if (self.id == 1) throw std::runtime_error{"child"};
        }));
        all.back()->due = always;
    }
    CHECK_THROWS(group.advance(Instant{}));
    CHECK(group.deadline() == always);
    REQUIRE(group.advance(Instant{}));
    CHECK(log == std::vector{0, 1, 2, 3});
    CHECK(group.deadline() == never);
}

TEST_CASE("A handle may outlive its MachineGroup, and so may a machine that it refers to",
          "[core][machine_group][unit]") {
    auto group = std::make_unique<belay::driver::MachineGroup>();
    group->attach(Waker{});
    auto child = group->make<ScriptedChild>(1, nullptr);
    ScriptedChild elsewhere{2, nullptr};
    {
        ScriptedChild brief{3, nullptr};
        group->add(elsewhere);
        group->add(brief);
        CHECK(group->size() == 3);
    }
    CHECK(group->size() == 2);
    elsewhere.ask_for(Instant{});
    REQUIRE(group->advance(Instant{}));
    CHECK(elsewhere.turns == 1);
    const belay::driver::WakeHandle kept = child->waker.handle();
    group.reset();
    child->waker.touch();
    kept.wake();
    elsewhere.waker.handle().wake();
    CHECK(child->id == 1);
    child.reset();
    kept.wake();
}

TEST_CASE("MachineGroup::add of a reference to a machine needs an attached group",
          "[core][machine_group][unit][fault]") {
    CHECK(belay_test::aborts_with([] {
              belay::driver::MachineGroup group;
              ScriptedChild elsewhere{1, nullptr};
              group.add(elsewhere);
          }).find("MachineGroup::add") != std::string::npos);
}

TEST_CASE("Children that were added before the group was attached get their wakers with it",
          "[core][machine_group][unit]") {
    CountingParent parent;
    belay::driver::MachineGroup group;
    auto a = group.make<ScriptedChild>(1, nullptr);
    auto b = group.make<ScriptedChild>(2, nullptr);
    group.attach(parent.waker());
    CHECK(a->waker.now() == Instant{42s});
    CHECK(a->waker.seed().value != b->waker.seed().value);
    b->ask_for(Instant{1s});
    CHECK(parent.touches == 1);
    REQUIRE(group.advance(Instant{1s}));
    CHECK(b->turns == 1);
}

TEST_CASE("Groups in a group: a grandchild's wake-up reaches the driver",
          "[core][machine_group][unit]") {
    CountingParent parent;
    belay::driver::MachineGroup outer;
    outer.attach(parent.waker());
    auto inner = outer.make<belay::driver::MachineGroup>();
    auto child = inner->make<ScriptedChild>(1, nullptr);
    REQUIRE(outer.advance(Instant{}));
    CHECK(outer.deadline() == never);
    child->ask_for(Instant{2s});
    CHECK(outer.deadline() == always);
    REQUIRE(outer.advance(Instant{1s}));
    CHECK(child->turns == 0);
    child->waker.handle().wake();
    CHECK(parent.wakes == 1);
    REQUIRE(outer.advance(Instant{2s}));
    CHECK(child->turns == 1);
}

TEST_CASE("A child may be woken from any thread, also after its end",
          "[core][machine_group][unit]") {
    // Each thread counts up, then wakes. In the end every child has seen its whole count.
    struct Counter {
        explicit Counter(std::shared_ptr<std::atomic<int>> c) : count{std::move(c)} {}
        void attach(Waker w) { waker = std::move(w); }
        [[nodiscard]] Instant deadline() const noexcept {
            return count->load(std::memory_order_relaxed) != observed ? always : never;
        }
        void advance(Instant) { observed = count->load(std::memory_order_relaxed); }
        std::shared_ptr<std::atomic<int>> count;
        int observed = 0;
        Waker waker;
    };
    constexpr int threads = 4, rounds = 2'000;
    CountingParent parent;
    std::optional<belay::driver::MachineGroup> group{std::in_place};
    group->attach(parent.waker());
    std::vector<belay::driver::GroupedMachine<Counter>> all;
    for (int i = 0; i < 3; ++i) {
        all.push_back(group->make<Counter>(std::make_shared<std::atomic<int>>(0)));
    }
    struct Target {
        std::shared_ptr<std::atomic<int>> count;
        belay::driver::WakeHandle wake;
    };
    std::vector<Target> targets;
    for (const auto& c : all) targets.push_back({c->count, c->waker.handle()});
    std::atomic<int> done{0};
    std::vector<std::thread> waking;
    for (int t = 0; t < threads; ++t) {
        waking.emplace_back([&done, targets] {
            for (int i = 0; i < rounds; ++i) {
                for (const Target& to : targets) {
                    to.count->fetch_add(1, std::memory_order_relaxed);
                    to.wake.wake();
                }
            }
            ++done;
        });
    }
    // A driver that sleeps without a wake would never end here.
    int received = 0;
    while (done != threads || parent.wakes != received) {
        if (const int wakes = parent.wakes; wakes != received) {
            received = wakes;
            if (group->deadline() <= Instant{}) REQUIRE(group->advance(Instant{}));
        }
        std::this_thread::yield();
    }
    for (const auto& c : all) CHECK(c->observed == threads * rounds);
    for (std::thread& t : waking) t.join();
    std::vector<std::thread> late;
    for (int t = 0; t < threads; ++t) {
        late.emplace_back([targets] {
            for (int i = 0; i < rounds; ++i) targets[static_cast<std::size_t>(i % 3)].wake.wake();
        });
    }
    all.pop_back();
    group.reset();
    for (std::thread& t : late) t.join();
}
