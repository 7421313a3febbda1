// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver.hpp
/// posix::Resolver: looks names up on threads of its own, so that a slow name server blocks no
/// loop. posix::ResolverOptions: its limits.
#pragma once

#include <chrono>   // std::chrono::seconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t
#include <list>     // std::list
#include <string>   // std::string
#include <utility>  // std::move
#include <vector>   // std::vector

#include <pthread.h>
#include <signal.h>

#include <belay/core/assert.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/order.hpp>
#include <belay/posix/detail/addresses.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// The limits of a Resolver.
struct ResolverOptions {
    /// The most names that are looked up at once, each by a thread of its own. A look-up that hangs
    /// keeps its thread until the system gives up.   Pre: > 0.
    unsigned threads_max = 32;
    /// The most requests that wait, those whose names are being looked up included.   Pre: > 0.
    std::size_t waiting_max = 1024;
};

namespace detail {

/// The look-ups of a resolver, shared with its threads. It outlives the resolver while a thread
/// runs.
///
/// A look-up that hangs keeps its thread, because the system cannot cancel it. So each rank of
/// names leaves one thread to the rank above it. A name that has answered may use all threads, a
/// new name all but one, and a name whose last look-up hung all but two.
///
/// Thread safety: any thread.
class LookUps : public belay::detail::Counted {
public:
    using LookUp = HostAddresses (*)(const std::string& host);
    using Now = Instant (*)() noexcept;
    using Done = Completion<HostAddresses>;
    using Begun = Completion<LookUpBegun>;

    /// A look-up that has taken this long hangs.
    static constexpr Duration hangs_after = std::chrono::seconds{2};
    /// The most names whose last look-up is remembered.
    static constexpr std::size_t names_max = 1024;

    enum class Admission : std::uint8_t { rejected, accepted, needs_thread };

    LookUps(const ResolverOptions& options, LookUp f, Now now) noexcept
        : options_{options}, look_up_{f}, now_{now} {}

    /// Adds a look-up. It keeps `begun` if the look-up must wait. If it needs another thread, that
    /// one is already counted.   Throws: std::bad_alloc.
    [[nodiscard]] Admission take(const std::string& host, Done& done, Begun& begun) {
        std::list<Job> dropped;
        const belay::detail::SpinLock lock{mutex_};
        if (waiting() >= options_.waiting_max) forget_unwanted(dropped);
        if (waiting() >= options_.waiting_max) return Admission::rejected;
        Job* job = nullptr;
        for (Job& other : jobs_) {
            if (other.host == host) job = &other;
        }
        const bool is_new = job == nullptr;
        if (is_new) job = &jobs_.emplace_back(Job{host, rank_of(host)});
        job->completions.push_back(std::move(done));
        if (is_new && threads_ < threads_max(job->rank)) {
            job->state = State::placed;
            ++threads_;
            return Admission::needs_thread;
        }
        if (job->state == State::waiting) job->begins.push_back(std::move(begun));
        return Admission::accepted;
    }
    /// Handles the failure to start that thread. If there is no other thread, it completes all
    /// waiting look-ups with `error`.
    void lack_thread(const std::error_code& error) noexcept {
        {
            const belay::detail::SpinLock lock{mutex_};
            for (Job& job : jobs_) {
                if (job.state == State::placed) job.state = State::waiting;
            }
            if (--threads_ != 0) return;
        }
        const HostAddresses found{{}, error};
        for (Waiting completions = pop_waiting(); !completions.empty(); completions = pop_waiting())
            answer(completions, found);
    }
    /// The body of a thread: looks up what waits, until nothing does.
    void work() noexcept {
        for (auto job = next(); job != jobs_.end(); job = next()) {
            job->begins.clear();
            const Instant began = now_();
            const HostAddresses found = ask(job->host);
            Waiting completions = finish(job, elapsed(began, now_()) >= hangs_after);
            answer(completions, found);
        }
    }
    /// The resolver is destroyed: drops the completions of all waiting look-ups.
    void close() noexcept {
        while (!pop_waiting().empty()) {
        }
    }
    [[nodiscard]] unsigned threads() const noexcept {
        const belay::detail::SpinLock lock{mutex_};
        return threads_;
    }

private:
    using Waiting = std::vector<Done>;
    /// In the order in which waiting names are looked up.
    enum class Rank : std::uint8_t { answers, is_new, hung };
    enum class State : std::uint8_t { waiting, placed, running };
    struct Job {
        std::string host;
        Rank rank;
        State state = State::waiting;
        Waiting completions{};
        std::vector<Begun> begins{};  // waiting: those to complete when it begins
    };
    struct Name {
        std::string host;
        Rank rank;
    };
    using Place = std::list<Job>::iterator;

    static void answer(Waiting& completions, const HostAddresses& found) noexcept {
        for (Done& done : completions) {
            if (done.wanted()) belay::detail::has_memory_for([&] { done(found); });
        }
    }
    [[nodiscard]] HostAddresses ask(const std::string& host) noexcept {
        HostAddresses found;
        if (!belay::detail::has_memory_for([&] { found = look_up_(host); })) {
            found = {{}, std::make_error_code(std::errc::not_enough_memory)};
        }
        return found;
    }
    /// Returns the most threads that may run when a name of this rank begins.
    [[nodiscard]] unsigned threads_max(Rank rank) const noexcept {
        const auto left = static_cast<unsigned>(rank);
        return belay::detail::larger(options_.threads_max, left + 1) - left;
    }
    /// Returns the next job with a wanted completion. If there is none, returns the end, and the
    /// thread is no longer counted.
    [[nodiscard]] Place next() noexcept {
        std::list<Job> dropped;
        const belay::detail::SpinLock lock{mutex_};
        forget_unwanted(dropped);
        Place best = jobs_.end();
        for (auto job = jobs_.begin(); job != jobs_.end(); ++job) {
            if (job->state == State::running) continue;
            // The thread that was counted for a placed job takes another one.
            const bool may_begin =
                job->state == State::placed || threads_ <= threads_max(job->rank);
            if (may_begin && (best == jobs_.end() || job->rank < best->rank)) best = job;
        }
        if (best == jobs_.end()) {
            --threads_;
        } else {
            best->state = State::running;
        }
        return best;
    }
    [[nodiscard]] Waiting finish(Place job, bool hung) noexcept {
        const belay::detail::SpinLock lock{mutex_};
        belay::detail::has_memory_for(
            [&] { remember(job->host, hung ? Rank::hung : Rank::answers); });
        Waiting completions = std::move(job->completions);
        jobs_.erase(job);
        return completions;
    }
    /// Removes and returns the completions of one job; none if there is no job with any.
    [[nodiscard]] Waiting pop_waiting() noexcept {
        std::list<Job> dropped;
        const belay::detail::SpinLock lock{mutex_};
        Waiting completions;
        for (auto job = jobs_.begin(); job != jobs_.end() && completions.empty();) {
            const auto at = job++;
            completions.swap(at->completions);
            if (at->state != State::running) dropped.splice(dropped.end(), jobs_, at);
        }
        return completions;
    }
    [[nodiscard]] std::size_t waiting() const noexcept {
        std::size_t n = 0;
        for (const Job& job : jobs_) n += job.completions.size();
        return n;
    }
    /// Moves the jobs that no attempt needs to `dropped`, which is destroyed without the lock.
    void forget_unwanted(std::list<Job>& dropped) noexcept {
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const auto at = job++;
            std::erase_if(at->completions, [](const Done& done) { return !done.wanted(); });
            if (at->completions.empty() && at->state != State::running) {
                dropped.splice(dropped.end(), jobs_, at);
            }
        }
    }
    [[nodiscard]] auto name_of(const std::string& host) noexcept {
        auto name = names_.begin();
        while (name != names_.end() && name->host != host) ++name;
        return name;
    }
    [[nodiscard]] Rank rank_of(const std::string& host) noexcept {
        const auto name = name_of(host);
        return name != names_.end() ? name->rank : Rank::is_new;
    }
    /// Throws: std::bad_alloc.
    void remember(const std::string& host, Rank rank) {
        auto name = name_of(host);
        if (name == names_.end()) {
            name = names_.insert(name, Name{host, rank});
            if (names_.size() > names_max) names_.pop_front();
        }
        name->rank = rank;
        names_.splice(names_.end(), names_, name);
    }

    const ResolverOptions options_;
    const LookUp look_up_;
    const Now now_;
    mutable belay::detail::SpinMutex mutex_;
    std::list<Job> jobs_;
    std::list<Name> names_;  // those that were looked up, the last one at the end
    unsigned threads_ = 0;
};

/// Looks up names on its own threads. It runs one look-up at a time for each name, and at most
/// threads_max in all.
///
/// A thread lives while there is work. It shares ownership of what it uses, so nothing ever waits
/// for a thread that hangs in the system's resolver.
///
/// Thread safety: any thread.
class BasicResolver {
public:
    BasicResolver(const BasicResolver&) = delete;
    BasicResolver& operator=(const BasicResolver&) = delete;

    /// Completes `done` with the addresses of `host`, on another thread, and `begun` when their
    /// look-up begins. If the resolver is destroyed before, both are dropped.
    /// Throws: std::bad_alloc.
    void look_up(const std::string& host, Completion<HostAddresses> done,
                 Completion<LookUpBegun> begun = Completion<LookUpBegun>{{}}) {
        switch (look_ups_->take(host, done, begun)) {
            case LookUps::Admission::rejected:
                done({{}, std::make_error_code(std::errc::no_buffer_space)});
                break;
            case LookUps::Admission::needs_thread:
                if (const std::error_code error = start_thread()) look_ups_->lack_thread(error);
                break;
            case LookUps::Admission::accepted:
                break;
        }
    }
    /// Returns the number of threads, including those that hang.
    [[nodiscard]] unsigned threads() const noexcept { return look_ups_->threads(); }

protected:
    BasicResolver(
        const ResolverOptions& options, LookUps::LookUp f,
        LookUps::Now now = []() noexcept { return SteadyClock{}.now(); })
        : look_ups_{belay::detail::Ref<LookUps>::make(options, f, now)} {
        BELAY_OPTION(options.threads_max > 0 && options.waiting_max > 0,
                     "Resolver: threads_max and waiting_max must be > 0");
    }
    ~BasicResolver() { look_ups_->close(); }

private:
    static void* run(void* look_ups) noexcept {
        const auto own = belay::detail::Ref<LookUps>::adopt(static_cast<LookUps*>(look_ups));
        own->work();
        return nullptr;
    }
    [[nodiscard]] std::error_code start_thread() noexcept {
        pthread_attr_t detached;
        if (const int error = ::pthread_attr_init(&detached)) {
            return {error, std::generic_category()};
        }
        ::pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        // The program's signal handlers must run on its own threads, so this one blocks all
        // signals.
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        belay::detail::Ref<LookUps> own = look_ups_;
        LookUps* const raw = own.release();
        pthread_t thread;
        const int error = ::pthread_create(&thread, &detached, &BasicResolver::run, raw);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        ::pthread_attr_destroy(&detached);
        if (error == 0) return {};
        own = belay::detail::Ref<LookUps>::adopt(raw);
        return {error, std::generic_category()};
    }

    belay::detail::Ref<LookUps> look_ups_;
};

}  // namespace detail

/// Looks up names for any number of posix::Tcp, by getaddrinfo(3), on threads of its own.
///
///     posix::Resolver resolver;
///     Supervisor link{posix::Tcp{loop, resolver, {"example.org", 9000}}, policy};
///
/// Each name is looked up by one thread at a time, for all requests that wait for it. At most
/// `threads_max` names are looked up at once. A look-up that takes 2 s hangs. Names whose last
/// look-up hung go last, and may use all threads except two. New names may use all except one. So a
/// name that has answered before begins at once, however many names hang, and a new name does if
/// those that hang were looked up before. It remembers the last 1024 names.
///
/// The resolver caches nothing: each attempt looks the name up anew. When `waiting_max` requests
/// wait, the next one first removes those whose result is no longer wanted. If that frees no place,
/// its attempt fails with Cause::overloaded.
///
/// Destroying it takes effect at once: attempts that wait for it fail (ECANCELED). A thread that is
/// still in the system's resolver then ends by itself later. It uses only its own memory and its
/// code, which must stay loaded.
///
/// Thread safety: any thread, and any number of loops.   Allocates: a list entry for each name.
class Resolver final : public detail::BasicResolver {
public:
    /// Constructs a resolver with these limits.
    ///
    /// Pre: the limits are > 0.   Throws: std::bad_alloc.
    explicit Resolver(const ResolverOptions& options = {})
        : BasicResolver{options, &detail::look_up_by_system} {}
};

}}}  // namespace belay::posix
