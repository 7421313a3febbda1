// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/engine.hpp
/// Engine: virtual time, and all events in it.
#pragma once

#include <algorithm>  // std::min, std::max, std::find
#include <deque>      // std::deque
#include <optional>   // std::optional
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/sim/detail/event_queue.hpp>
#include <belay/sim/detail/timers.hpp>
#include <belay/sim/detail/trace.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

using belay::detail::Function;

/// Runs events and machines in the order of their times.
///
/// At one instant all events run before any machine. Machines run in the order of their deadlines,
/// then in the order in which they were attached. Deadlines are read again only after a turn, a
/// wake or a touch.
///
/// Thread safety: one thread.
class Engine {
public:
    Engine(Seed from, std::uint32_t extra_turns_one_in) noexcept
        : seed{from},
          extra_turns_one_in_{extra_turns_one_in},
          extra_{Seed{mix(from.value, hash_of("extra turns"))}} {}
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    ~Engine() {
        for (Attached* const a : machines_) a->engine = nullptr;
    }

    // ---- events --------------------------------------------------------------------------------

    /// `group` is a number: in a shuffled world, the events of a group stay in their order.
    void add(Instant time, void (*run)(void*), void* object, std::uint64_t group) {
        if (shuffled_) [[unlikely]]
            return add_shuffled(time, run, object, group);
        event_queue_.add(std::max(time, now_), run, object);
    }
    /// Shuffles the events of each instant. Pre: nothing is scheduled or attached.
    void shuffle() noexcept { shuffled_ = true; }
    [[nodiscard]] bool shuffled() const noexcept { return shuffled_; }
    /// Schedules a function. `owner` is the host that it belongs to, or null.
    template <class F>
    void call_at(Instant time, const void* owner, F&& f) {
        if (free_.empty()) {
            slots_.emplace_back();
            free_.push_back(&slots_.back());
        }
        Slot& slot = *free_.back();
        // The copy of a function may schedule another one, or throw.
        free_.pop_back();
        belay::detail::ScopeExit unused{[this, &slot] { free_.push_back(&slot); }};
        slot.function.emplace(std::forward<F>(f));
        unused.release();
        slot.owner = owner;
        slot.engine = this;
        if (shuffled_) [[unlikely]]
            return add_shuffled(time, &Engine::run_slot, &slot, group_of(owner));
        event_queue_.add(std::max(time, now_), &Engine::run_slot, &slot);
    }
    /// Destroys the scheduled functions of a host.
    void drop_calls(const void* owner) noexcept {
        // By index: a destructor may schedule new functions.
        for (std::size_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i].owner == owner) slots_[i].function.reset();
        }
    }

    // ---- machines ------------------------------------------------------------------------------

    template <MachineLike M>
    void attach(M& machine, const void* owner, const SteadySetting& clock, Seed machine_seed,
                bool frozen) {
        static constexpr belay::driver::WakeOps ops{&touch, &touch, &now_of, &detach, &destroy};
        auto* const a = new Attached{ops};
        belay::driver::WakeHandle handle = belay::driver::WakeHandle::adopt(a);
        a->engine = this;
        a->machine = &machine;
        a->deadline = [](const void* m) noexcept { return static_cast<const M*>(m)->deadline(); };
        a->advance = [](void* m, Instant now) { static_cast<M*>(m)->advance(now); };
        a->owner = owner;
        a->clock = &clock;
        a->order = a->attached = next_order_++;
        a->frozen = frozen;
        machines_.push_back(a);
        machine.attach(Waker{handle, machine_seed});
        if (a->engine != nullptr) refresh(*a);
    }
    /// Freezes the machines of a host, or resumes them.
    void freeze(const void* owner, bool frozen) {
        for (Attached* const a : machines_) {
            if (a->owner != owner) continue;
            a->frozen = frozen;
            refresh(*a);
        }
    }
    /// The process of a host is gone: its machines never run again.
    void forget(const void* owner) noexcept {
        for (std::size_t i = machines_.size(); i-- != 0;) {
            if (machines_[i]->owner == owner) remove(*machines_[i]);
        }
    }

    // ---- running -------------------------------------------------------------------------------

    /// Runs the first event or turn that is due until `end`.   Returns: whether there was one.
    bool step(Instant end) {
        read_deadlines();
        const Instant event = event_queue_.next();
        const Instant timer = timers_.next();
        const Instant next = std::min(event, timer);
        if (next == never || next > end) return false;
        if (next > now_) {
            at_this_instant_ = 0;
            if (extra_turns_one_in_ != 0 && take_extra_turn(next)) return true;
            now_ = next;
        }
        ++events_;
        BELAY_PRECONDITION(++at_this_instant_ <= events_per_instant_max,
                           "World: a machine must move its deadline after advance; the time of the "
                           "world does not pass");
        if (event <= timer) {
            const ScheduledEvent first = event_queue_.pop();
            first.run(first.object);
        } else {
            turn(timers_.front());
        }
        return true;
    }
    /// Pre: nothing is due before `time`.
    void move_to(Instant time) noexcept { now_ = std::max(now_, time); }

    /// Whether nothing will ever happen again.
    [[nodiscard]] bool idle() {
        read_deadlines();
        return event_queue_.next() == never && timers_.next() == never;
    }
    /// The kind of an event, and the host that it belongs to; null: none.
    struct Upcoming {
        enum class Kind : std::uint8_t { nothing, message, function, turn } kind;
        const void* owner;
    };
    /// Returns what step() would run.
    [[nodiscard]] Upcoming upcoming() {
        using Kind = typename Upcoming::Kind;
        if (idle()) return {Kind::nothing, nullptr};
        if (event_queue_.next() > timers_.next()) return {Kind::turn, timers_.front().owner};
        const ScheduledEvent& first = event_queue_.front();
        if (first.run != &Engine::run_slot) return {Kind::message, nullptr};
        return {Kind::function, static_cast<const Slot*>(first.object)->owner};
    }
    [[nodiscard]] Instant now() const noexcept { return now_; }
    [[nodiscard]] std::uint64_t events() const noexcept { return events_; }

    /// Marks that code of a host is on the stack: destroying the host must wait.
    struct [[nodiscard]] Inside {
        explicit Inside(Engine& e) noexcept : engine{e} { ++engine.inside_; }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;
        ~Inside() { --engine.inside_; }
        Engine& engine;
    };
    [[nodiscard]] bool inside() const noexcept { return inside_ != 0; }

    void note(Mark mark, std::uint32_t host, std::uint64_t facts = 0) noexcept {
        note(mark, host, facts, [] { return OtherEnd{no_host}; });
    }
    /// `peer_of` returns the other end of the connection. It is called only if the world is
    /// recorded.
    template <class PeerOf>
    void note(Mark mark, std::uint32_t host, std::uint64_t facts, PeerOf&& peer_of) noexcept {
        if (recorder_.on()) [[unlikely]]
            return note_and_record(mark, host, facts, peer_of());
        trace_.note(now_, mark, host, facts);
    }
    /// Notes what the hash does not have, in a recorded world.
    void note_text(Mark mark, std::uint32_t host, std::string text) noexcept {
        recorder_.add({.time = now_,
                       .event = events_,
                       .host = host,
                       .peer = no_host,
                       .mark = mark,
                       .text = std::move(text)});
    }
    /// Keeps the last lines of the history from now on; 0: none.
    void record(std::size_t lines) noexcept { recorder_ = Recorder{lines}; }
    [[nodiscard]] Recorder& recorder() noexcept { return recorder_; }
    [[nodiscard]] const Recorder& recorder() const noexcept { return recorder_; }
    [[nodiscard]] std::uint64_t hash() const noexcept { return trace_.hash(); }

    const Seed seed;
    /// If wall clocks and uptimes start at other times: these.
    struct ClockStart {
        Duration wall;  // since 1970
        Duration uptime;
    };
    std::optional<ClockStart> clock_start{};
    /// The steady clocks of the hosts. Copies of Host::clock() may outlive a host.
    std::deque<SteadySetting> steady_clocks{};

private:
    struct Slot {
        Function<void()> function;
        const void* owner = nullptr;
        Engine* engine = nullptr;
    };

    // Not inlined: a world that is not recorded would pay for its registers.
    [[gnu::cold, gnu::noinline]] void note_and_record(Mark mark, std::uint32_t host,
                                                      std::uint64_t facts, OtherEnd peer) noexcept {
        trace_.note(now_, mark, host, facts);
        recorder_.add({now_, facts, events_, host, peer.host, peer.connection, mark, peer.dialled,
                       std::move(peer.text)});
    }

    static void run_slot(void* object) {
        // The function runs where it is. It is not dropped meanwhile, because it has no owner now.
        auto& slot = *static_cast<Slot*>(object);
        const belay::detail::ScopeExit end{[&slot] {
            slot.function.reset();
            slot.engine->free_.push_back(&slot);
        }};
        slot.owner = nullptr;
        if (slot.function) slot.function();
    }

    static void touch(belay::driver::WakeNode& node) noexcept {
        auto& a = static_cast<Attached&>(node);
        if (a.engine != nullptr) a.engine->refresh(a);
    }
    static Instant now_of(belay::driver::WakeNode& node) noexcept {
        const auto& a = static_cast<const Attached&>(node);
        return a.engine != nullptr ? a.clock->at(a.engine->now_) : always;
    }
    static void detach(belay::driver::WakeNode& node) noexcept {
        auto& a = static_cast<Attached&>(node);
        if (a.engine != nullptr) a.engine->remove(a);
    }
    static void destroy(belay::driver::WakeNode* node) noexcept {
        delete static_cast<Attached*>(node);
    }

    void refresh(Attached& a) {
        if (std::exchange(a.stale, true)) return;
        stale_.push_back(&a);
    }
    void remove(Attached& a) noexcept {
        timers_.remove(a);
        if (a.stale) std::erase(stale_, &a);
        std::erase(machines_, &a);
        if (running_ == &a) running_ = nullptr;
        a.engine = nullptr;
        a.stale = false;
    }
    static Instant due_of(const Attached& a) noexcept {
        return a.frozen ? never : a.clock->when(a.deadline(a.machine));
    }
    void read_deadlines() {
        if (!stale_.empty()) read_stale_deadlines();
    }
    void read_stale_deadlines() {
        if (shuffled_) [[unlikely]]
            return read_shuffled_deadlines();
        for (Attached* const a : stale_) {
            a->stale = false;
            const Instant due = due_of(*a);
            timers_.set(*a, due == never ? never : std::max(due, now_));
        }
        stale_.clear();
    }
    // Not inlined: a world that is not shuffled would pay for their registers.
    [[gnu::cold, gnu::noinline]] void add_shuffled(Instant time, void (*run)(void*), void* object,
                                                   std::uint64_t group) {
        const Instant at = std::max(time, now_);
        event_queue_.add_ranked(at, rank(at, group), run, object);
    }
    [[gnu::cold, gnu::noinline]] void read_shuffled_deadlines() {
        for (Attached* const a : stale_) {
            a->stale = false;
            const Instant read = due_of(*a);
            const Instant due = read == never ? never : std::max(read, now_);
            a->order = rank(due, ~a->attached) << 40 | a->attached;
            timers_.set(*a, due);
        }
        stale_.clear();
    }
    /// Draws the place of a group among the others at an instant.
    [[nodiscard]] std::uint64_t rank(Instant time, std::uint64_t group) const noexcept {
        const auto ns = static_cast<std::uint64_t>(time.time_since_epoch().count());
        return mix(mix(seed.value, ns), group) >> 40;
    }
    /// Returns the number of a host, in the order of their first functions.
    [[nodiscard, gnu::cold, gnu::noinline]] std::uint64_t group_of(const void* owner) {
        const auto found = std::find(owners_.begin(), owners_.end(), owner);
        const auto index = static_cast<std::uint64_t>(found - owners_.begin());
        if (found == owners_.end()) owners_.push_back(owner);
        return index;
    }
    void turn(Attached& a) {
        // The machine may destroy itself, and its entry with it. Its exceptions leave the world.
        const Inside inside{*this};
        running_ = &a;
        const belay::detail::ScopeExit end{[this] {
            if (Attached* const left = std::exchange(running_, nullptr)) refresh(*left);
        }};
        a.advance(a.machine, a.clock->at(now_));
    }
    /// Runs a machine too early, between two instants. A correct machine behaves the same.
    bool take_extra_turn(Instant next) {
        if (machines_.empty() || extra_() % extra_turns_one_in_ != 0) return false;
        const Duration gap = elapsed(now_, next);
        const auto chosen = uniform_upto(extra_, machines_.size() - 1);
        Attached& a = *machines_[static_cast<std::size_t>(chosen)];
        if (a.frozen || gap <= Duration{1}) return false;
        const auto later = uniform_upto(extra_, static_cast<std::uint64_t>(gap.count() - 2));
        now_ = after(now_, Duration{static_cast<std::int64_t>(later) + 1});
        turn(a);
        return true;
    }

    static constexpr std::uint64_t events_per_instant_max = 10'000'000;

    const std::uint32_t extra_turns_one_in_;
    Random extra_;
    Trace trace_;
    Instant now_{};
    std::uint64_t events_ = 0;
    std::uint64_t at_this_instant_ = 0;
    int inside_ = 0;
    EventQueue event_queue_;
    std::deque<Slot> slots_;
    std::vector<Slot*> free_;
    Timers timers_;
    std::vector<Attached*> machines_;
    std::vector<Attached*> stale_;
    Attached* running_ = nullptr;
    Recorder recorder_;
    std::uint64_t next_order_ = 0;
    bool shuffled_ = false;
    std::vector<const void*> owners_;  // of functions, in a shuffled world
};

}}}  // namespace belay::sim::detail
