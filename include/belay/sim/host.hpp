// SPDX-License-Identifier: MIT
/// \file belay/sim/host.hpp
/// sim::Host: a simulated computer, with a process that may end and restart, and a disk that stays.
#pragma once

#include <algorithm>    // std::max
#include <memory>       // std::unique_ptr
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_invocable_v, std::is_void_v
#include <utility>      // std::move, std::forward
#include <vector>       // std::vector

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/core/timer.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/clock.hpp>
#include <belay/sim/disk.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

namespace detail {
/// Its address identifies a type, without RTTI.
template <class T>
inline constexpr char type_name = 0;
struct Kernel;
}  // namespace detail

/// A computer of a simulated world, and the driver of the machines on it. World::host makes it.
///
/// Its process is the result of the factory, with the machines, functions and listeners that the
/// process has added. All of that ends when the host is killed; the disk stays. A function or
/// listener runs as an event of its own. An exception from it leaves the world's `run_...`.
///
/// Thread safety: the world's thread.
class Host {
public:
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    // ---- for the process -----------------------------------------------------------------------

    /// Runs a machine until it is destroyed, or until this process ends. Its random bits depend on
    /// the world's seed, the host's name, how often the host was started, and the number of the
    /// machine.
    template <MachineLike M>
    void attach(M& machine) {
        BELAY_PRECONDITION(station_.alive, "Host::attach: the host must be alive");
        const std::uint64_t key = detail::mix(process_key(), next_machine_++);
        engine().attach(machine, this, *station_.steady, Seed{key}, station_.frozen);
    }
    /// Calls `f` after the events of this instant that are already waiting; never, if the process
    /// dies before.
    template <class F>
    driver::Post post(F&& f) {
        if (!station_.alive) return driver::Post::gone;
        after(Duration::zero(), std::forward<F>(f));
        return driver::Post::taken;
    }
    /// Calls `f` at an instant, or after the events that are already waiting if that is past. If
    /// the process is frozen then, it calls `f` later; if it dies before, never. The returned
    /// handle can cancel the call.
    template <class F>
    Timer at(Instant time, F&& f) {
        if (!station_.alive) return {};
        Timer timer = belay::detail::TimerQueue::set(timers_, never, std::forward<F>(f));
        const Entry entry{timer};
        entry.expect(time);
        call_at(entry);
        return timer;
    }
    /// Calls `f` after `d`, in the same way. A time below 0ns counts as 0ns, as in a Loop.
    template <class F>
    Timer after(Duration d, F&& f) {
        return at(belay::after(now(), belay::detail::larger(d, Duration::zero())),
                  std::forward<F>(f));
    }
    /// Calls `on_accept(sim::Accepted)` for every connection to `port`.
    /// Pre: nothing listens on `port`.
    template <class F>
    void listen(std::uint16_t port, F&& on_accept) {
        static_assert(std::is_invocable_v<std::decay_t<F>&, Accepted>,
                      "Host::listen: on_accept must be callable as on_accept(sim::Accepted)");
        if (!station_.alive) return;
        detail::Station::Listener& listener = station_.listeners[port];
        BELAY_PRECONDITION(!listener.on_accept && !listener.on_waiting,
                           "Host::listen: the port must be free");
        listener.on_accept = [g = std::decay_t<F>(std::forward<F>(on_accept))](
                                 belay::detail::Ref<detail::Channel> c) mutable {
            g(Accepted{std::move(c)});
        };
    }
    /// Returns a number from 0 to `n` - 1: the choice of this world's seed. The n-th choice of a
    /// tag on this host does not depend on choices elsewhere.   Pre: n > 0.
    [[nodiscard]] std::uint64_t choose(std::string_view tag, std::uint64_t n) {
        return fabric_.choices.choose(detail::hash_of(station_.name), tag, n);
    }
    /// Returns true with a probability of `percent`.
    [[nodiscard]] bool chance(std::string_view tag, std::uint32_t percent) {
        return choose(tag, 100) < percent;
    }
    /// Returns whether rare code should run here: an error path, a small buffer, a short timeout.
    /// In a quarter of the worlds this line is switched on, and then it fires in a quarter of its
    /// passes. World::heal ends it.   Source: FoundationDB's BUGGIFY.
    [[nodiscard]] bool buggify(const char* file = __builtin_FILE(),
                               std::uint32_t line = __builtin_LINE()) {
        return fabric_.choices.buggify(detail::hash_of(station_.name), file, line);
    }
    /// Returns the disk, which survives the process. A kill loses a part of what the process has
    /// not synced.
    [[nodiscard]] Disk& disk() noexcept { return disk_; }
    /// Returns the steady clock of this host. It shows the time of the world, unless it drifts.
    [[nodiscard]] Clock clock() const noexcept { return Clock{fabric_.engine, station_.steady}; }
    /// Returns the wall clock, which goes on while the process is dead or frozen.
    [[nodiscard]] WallClock wall_clock() const noexcept {
        return WallClock{fabric_.engine, station_.wall};
    }
    /// Returns what the steady clock shows.
    [[nodiscard]] Instant now() const noexcept { return station_.steady->at(fabric_.engine.now()); }

    // ---- for tests -----------------------------------------------------------------------------

    /// Sets the wall clock. It is ahead by `wrong_by` now, or behind if that is negative. From now
    /// on it gains `drift_ppm` microseconds in each second. It stays so until it is set again, also
    /// after World::heal.
    /// Pre: `wrong_by` is from -30 to 30 years; -1'000'000 < drift_ppm <= 1'000'000.
    void set_wall_clock(Duration wrong_by, std::int32_t drift_ppm = 0) noexcept {
        BELAY_OPTION(detail::is_wall_setting(wrong_by, drift_ppm),
                     "Host::set_wall_clock: wrong_by must be from -30 to 30 years, and "
                     "-1'000'000 < drift_ppm <= 1'000'000");
        station_.wall = {engine().now(), wrong_by, drift_ppm};
        engine().note(detail::Mark::clock, station_.index,
                      detail::mix(static_cast<std::uint64_t>(wrong_by.count()),
                                  static_cast<std::uint64_t>(drift_ppm)));
    }

    /// Makes the steady clock gain `ppm` microseconds in each second from now on, or lose them. The
    /// timers, machines and sleeps of the process follow it, and its kernel's connections do not.
    /// It stays so after World::heal.   Pre: -100'000 <= ppm <= 100'000.
    void drift_clock(std::int32_t ppm) {
        BELAY_OPTION(detail::is_steady_drift(ppm),
                     "Host::drift_clock: -100'000 <= ppm <= 100'000 must hold");
        station_.steady->drift(engine().now(), ppm);
        engine().freeze(this, station_.frozen);  // reads the deadlines of its machines again
        timers_->each_waiting([this](const Entry& entry) {
            if (entry.expected() != always) call_at(entry);
        });
    }

    /// Makes the process lack descriptors: it can open no file and no directory, and neither dial
    /// nor accept. Open files and connections still work. Connections to its listeners wait in the
    /// kernel. `false` ends that, and a new process does not.
    void exhaust_descriptors(bool on = true) {
        disk_.exhaust_descriptors(on);
        station_.faults.lacks_descriptors = on;
        if (!on) post([this] { detail::Channel::accept_all(engine(), station_); });
    }

    /// Interrupts a simulated program (sim::Program) by a signal, whose handler does nothing and
    /// was installed without SA_RESTART. The call in which the program waits fails with EINTR, as
    /// on Linux. Nothing happens if it does not wait, and to other processes.
    void interrupt() {
        if (station_.on_interrupt) station_.on_interrupt();
    }
    /// Makes each read of a file by a simulated program return some of the bytes, and at least one.
    /// `false` ends that.
    void shorten_reads(bool on = true) noexcept { station_.faults.shortens_reads = on; }

    [[nodiscard]] std::string_view name() const noexcept { return station_.name; }
    /// Returns whether a process runs: it was started, has not ended itself, and was not killed.
    [[nodiscard]] bool alive() const noexcept { return station_.alive && !exit_code_; }
    /// Returns the code with which the process has ended itself, such as that of exit(). The host
    /// is down then, until a restart: neither World::heal nor the end of a kill starts it. Nothing
    /// while the process runs, and after a kill has ended it.
    [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
    /// Returns whether the process is frozen.
    [[nodiscard]] bool paused() const noexcept { return station_.frozen; }
    /// Returns how often the process was started.
    [[nodiscard]] std::uint64_t starts() const noexcept { return starts_; }
    /// Returns the process, if the factory returned a `T` or a smart pointer to one; null after a
    /// kill, and otherwise. A process that has ended itself stays until a kill or a restart.
    template <class T>
    [[nodiscard]] T* process() noexcept {
        return process_.type == &detail::type_name<T> ? static_cast<T*>(process_.object) : nullptr;
    }

private:
    friend class Network;
    friend struct detail::Kernel;
    friend class World;

    using Entry = belay::detail::TimerQueue::Entry;

    /// The result of the factory.
    struct Process {
        std::unique_ptr<void, void (*)(void*)> owner{nullptr, [](void*) {}};
        void* object = nullptr;
        const void* type = nullptr;
    };

    template <class F>
    Host(detail::Fabric& fabric, std::string_view name, std::uint32_t index, F&& factory)
        : fabric_{fabric},
          factory_{[g = std::decay_t<F>(std::forward<F>(factory))](Host& h) mutable {
              h.make_process(g);
          }} {
        station_.name = name;
        station_.index = index;
        disk_.names_.set_order(key());
        station_.steady = &engine().steady_clocks.emplace_back();
        if (!engine().recorder().on()) return;
        disk_.log_ = [this](bool is_loss, const std::string& text) {
            engine().note_text(is_loss ? detail::Mark::lost : detail::Mark::disk, station_.index,
                               text);
        };
    }

    template <class F>
    void make_process(F& factory) {
        using R = decltype(factory(*this));
        if constexpr (std::is_void_v<R>) {
            factory(*this);
        } else {
            auto* const made = new R(factory(*this));
            process_.owner = {made, [](void* p) { delete static_cast<R*>(p); }};
            if constexpr (requires {
                              typename R::element_type;
                              made->get();
                          }) {
                process_.object = made->get();
                process_.type = &detail::type_name<typename R::element_type>;
            } else {
                process_.object = made;
                process_.type = &detail::type_name<R>;
            }
        }
    }

    void start() {
        if (station_.alive || exit_code_) return;
        engine().note(detail::Mark::start, station_.index, ++starts_);
        station_.alive = true;
        next_machine_ = 0;
        // A process whose start throws has ended: none of its parts may run.
        belay::detail::ScopeExit thrown{[this] { end_process(); }};
        const detail::Engine::Inside inside{engine()};
        factory_(*this);
        thrown.release();
    }
    void kill() {
        if (!station_.alive) return;
        engine().note(detail::Mark::kill, station_.index);
        // First, so that no destructor makes anything durable any more.
        disk_.end_processes();
        Random bits{Seed{detail::mix(process_key(), detail::hash_of("crash"))}};
        disk_.names_.crash(bits, disk_.log_);
        end_process();
    }
    void restart() {
        if (!exit_code_) {
            kill();
        } else if (station_.alive) {
            disk_.end_processes();  // the system still has what the process has written
            end_process();
        }
        exit_code_.reset();
        start();
    }
    void end_process() {
        const detail::Engine::Inside inside{engine()};
        station_.alive = station_.frozen = false;
        for (const belay::detail::Ref<detail::Channel>& c : fabric_.channels) {
            for (int side = 0; side < 2; ++side) {
                if (c->end(side).station == &station_) c->die(side);
            }
        }
        engine().forget(this);
        engine().drop_calls(this);
        timers_->close();
        stalled_.clear();
        station_.listeners.clear();
        process_ = {};
    }
    /// The process has ended itself. Its object stays, for tests, and its kernel goes on.
    void exit(int code) noexcept {
        exit_code_ = code;
        ++fabric_.exits;
        engine().note(detail::Mark::exit, station_.index, static_cast<std::uint32_t>(code));
    }
    void mend() {
        if (station_.faults.lacks_descriptors) exhaust_descriptors(false);
        station_.faults = {};
        disk_.mend();
    }
    void pause() {
        if (!station_.alive || std::exchange(station_.frozen, true)) return;
        engine().note(detail::Mark::pause, station_.index);
        engine().freeze(this, true);
    }
    void resume() {
        if (!std::exchange(station_.frozen, false)) return;
        engine().note(detail::Mark::resume, station_.index);
        // Data that the kernel has kept comes before the timers run.
        for (std::size_t i = 0; i < fabric_.channels.size(); ++i) {
            for (int side = 0; side < 2; ++side) {
                if (fabric_.channels[i]->end(side).station == &station_) {
                    fabric_.channels[i]->read(side);
                }
            }
        }
        for (const Entry& entry : std::exchange(stalled_, {})) {
            engine().call_at(engine().now(), this, [this, entry] { call(entry); });
        }
        engine().freeze(this, false);
        post([this] { detail::Channel::accept_all(engine(), station_); });
    }

    /// Calls `f` of the host's kernel after `d`, also while the process is frozen; never, if it
    /// dies before.
    template <class F>
    Timer kernel_after(Duration d, F&& f) {
        if (!station_.alive) return {};
        Timer timer = belay::detail::TimerQueue::set(timers_, never, std::forward<F>(f));
        engine().call_at(belay::after(engine().now(), d), this,
                         [this, entry = Entry{timer}] { run(entry); });
        return timer;
    }

    /// Begins a connection to a port of another host.
    [[nodiscard]] belay::detail::Ref<detail::Channel> dial(detail::Station& to,
                                                           std::uint16_t port) {
        if (fabric_.channels.size() >= fabric_.sweep_at) {
            std::erase_if(fabric_.channels,
                          [](const belay::detail::Ref<detail::Channel>& c) { return c->over(); });
            fabric_.sweep_at = std::max(detail::sweep_min, 2 * fabric_.channels.size());
        }
        const std::uint64_t dial_key = detail::mix(key(), station_.dials++);
        fabric_.channels.push_back(
            belay::detail::Ref<detail::Channel>::make(fabric_, station_, to, port, dial_key));
        return fabric_.channels.back();
    }

    /// Calls a function when the steady clock shows its time.
    void call_at(const Entry& entry) {
        engine().call_at(station_.steady->when(entry.expected()), this,
                         [this, entry] { call(entry); });
    }
    void call(const Entry& entry) {
        if (station_.frozen && entry.waits()) return stalled_.push_back(entry);
        run(entry);
    }
    void run(const Entry& entry) {
        // After a drift, another event follows.
        if (!entry.waits() || entry.expected() > now()) return;
        engine().note(detail::Mark::function, station_.index);
        const detail::Engine::Inside inside{engine()};
        timers_->call(entry);
    }

    [[nodiscard]] detail::Engine& engine() noexcept { return fabric_.engine; }
    [[nodiscard]] std::uint64_t key() const noexcept {
        return detail::mix(fabric_.engine.seed.value, detail::hash_of(station_.name));
    }
    [[nodiscard]] std::uint64_t process_key() const noexcept { return detail::mix(key(), starts_); }

    detail::Fabric& fabric_;
    detail::Station station_;
    Disk disk_;
    detail::Function<void(Host&)> factory_;
    Process process_;
    std::vector<Entry> stalled_;
    belay::detail::Ref<belay::detail::TimerQueue> timers_ =
        belay::detail::Ref<belay::detail::TimerQueue>::make();
    std::uint64_t starts_ = 0;
    std::optional<int> exit_code_;
    std::uint64_t next_machine_ = 0;
};

namespace detail {

/// The access of sockets to the simulated kernel of their host.
struct Kernel {
    [[nodiscard]] static Fabric& fabric(const Host& host) noexcept { return host.fabric_; }
    [[nodiscard]] static Station& station(Host& host) noexcept { return host.station_; }
    /// Returns the time of the world, which counts for connections.
    [[nodiscard]] static Instant now(const Host& host) noexcept {
        return host.fabric_.engine.now();
    }
    [[nodiscard]] static belay::detail::Ref<Channel> dial(Host& host, Station& to,
                                                          std::uint16_t port) {
        return host.dial(to, port);
    }
    [[nodiscard]] static bool lacks_descriptors(const Host& host) noexcept {
        return host.station_.faults.lacks_descriptors;
    }
    static void exit(Host& host, int code) noexcept { host.exit(code); }
    template <class F>
    [[nodiscard]] static Timer after(Host& host, Duration d, F&& f) {
        return host.kernel_after(d, std::forward<F>(f));
    }
};

}  // namespace detail

}}}  // namespace belay::sim
