// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/basic_resolver.hpp
/// BasicResolver: looks names up on threads of its own, whatever looks them up.
#pragma once

#include <cstring>  // std::memcpy
#include <list>     // std::list
#include <new>      // std::bad_alloc
#include <string>   // std::string
#include <utility>  // std::move
#include <vector>   // std::vector

#include <pthread.h>
#include <signal.h>

#include <belay/core/completion.hpp>
#include <belay/posix/detail/addresses.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/resolver_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// What a name stands for, in the order in which to try it; with port 0.
struct Found {
    std::vector<SocketAddress> addresses{};
    std::error_code error{};
};

/// Of a name with more addresses only the first so many are tried.
inline constexpr std::size_t addresses_max = 64;

/// The addresses of a list of the system's.   Throws: std::bad_alloc.
[[nodiscard]] inline std::vector<SocketAddress> copy_of(const addrinfo* first) {
    std::vector<SocketAddress> all;
    for (; first != nullptr && all.size() < addresses_max; first = first->ai_next) {
        if (first->ai_addrlen > sizeof(sockaddr_storage)) continue;
        SocketAddress& a = all.emplace_back();
        std::memcpy(&a.storage, first->ai_addr, first->ai_addrlen);
        a.size = first->ai_addrlen;
    }
    return all;
}

/// Asks the system.   Blocks: as long as its resolver takes.   Throws: std::bad_alloc.
[[nodiscard]] inline Found look_up_by_system(const std::string& host) {
    Addresses addresses;
    Found found;
    found.error = addresses.resolve(Endpoint{host, 0}, false);
    found.addresses = copy_of(addresses.first());
    return found;
}

/// The questions of a resolver, and the threads that answer them; outlives it while they run.
///
/// Thread safety: any thread.
class LookUps : public belay::detail::Counted {
public:
    using LookUp = Found (*)(const std::string& host);
    using Waiting = std::vector<Completion<Found>>;

    LookUps(const ResolverOptions& options, LookUp f) noexcept : options_{options}, look_up_{f} {}

    /// Returns: whether it was taken; else `done` is untouched.   Throws: std::bad_alloc.
    [[nodiscard]] bool take(const std::string& host, Completion<Found>& done) {
        const belay::detail::SpinLock lock{mutex_};
        if (waiting() >= options_.waiting_max) forget_unwanted();
        if (waiting() >= options_.waiting_max) return false;
        for (Job& job : jobs_) {
            if (job.host != host) continue;
            job.who.push_back(std::move(done));
            return true;
        }
        Job& job = jobs_.emplace_back();
        job.host = host;
        job.who.push_back(std::move(done));
        return true;
    }
    /// Whether another thread is needed, which then counts as one.
    [[nodiscard]] bool wants_thread() noexcept {
        const belay::detail::SpinLock lock{mutex_};
        if (threads_ >= options_.threads_max) return false;
        for (const Job& job : jobs_) {
            if (job.running) continue;
            ++threads_;
            return true;
        }
        return false;
    }
    /// The thread that was wanted could not be had: those whom no other one will answer learn why.
    void lack_thread(const std::error_code& error) noexcept {
        {
            const belay::detail::SpinLock lock{mutex_};
            if (--threads_ != 0) return;
        }
        const Found found{{}, error};
        for (Waiting who = pop_waiting(); !who.empty(); who = pop_waiting()) answer(who, found);
    }
    /// A thread's life: looks up what waits, until nothing does.
    void work() noexcept {
        for (auto job = next(); job != jobs_.end(); job = next()) {
            Found found = ask(job->host);
            Waiting who = finish(job);
            answer(who, found);
        }
    }
    /// Nobody asks any more: those who wait are answered no.
    void close() noexcept {
        while (!pop_waiting().empty()) {
        }
    }
    [[nodiscard]] unsigned threads() const noexcept {
        const belay::detail::SpinLock lock{mutex_};
        return threads_;
    }

private:
    struct Job {
        std::string host;
        Waiting who;
        bool running = false;
    };
    using Place = std::list<Job>::iterator;

    /// Returns: false if there was no memory.
    static bool guarded(auto&& f) noexcept {
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (const std::bad_alloc&) {
            return false;
        }
#else
        f();
#endif
        return true;
    }
    static void answer(Waiting& who, const Found& found) noexcept {
        for (Completion<Found>& done : who) {
            if (done.wanted()) guarded([&] { done(found); });
        }
    }
    [[nodiscard]] Found ask(const std::string& host) noexcept {
        Found found;
        if (!guarded([&] { found = look_up_(host); })) {
            found = {{}, std::make_error_code(std::errc::not_enough_memory)};
        }
        return found;
    }
    /// The next name that somebody still wants; the end, and one thread less, if there is none.
    [[nodiscard]] Place next() noexcept {
        const belay::detail::SpinLock lock{mutex_};
        forget_unwanted();
        for (auto job = jobs_.begin(); job != jobs_.end(); ++job) {
            if (job->running) continue;
            job->running = true;
            return job;
        }
        --threads_;
        return jobs_.end();
    }
    [[nodiscard]] Waiting finish(Place job) noexcept {
        const belay::detail::SpinLock lock{mutex_};
        Waiting who = std::move(job->who);
        jobs_.erase(job);
        return who;
    }
    /// All who wait for one name; none if nobody waits for any.
    [[nodiscard]] Waiting pop_waiting() noexcept {
        const belay::detail::SpinLock lock{mutex_};
        Waiting who;
        for (auto job = jobs_.begin(); job != jobs_.end() && who.empty();) {
            const auto at = job++;
            who.swap(at->who);
            if (!at->running) jobs_.erase(at);
        }
        return who;
    }
    [[nodiscard]] std::size_t waiting() const noexcept {
        std::size_t n = 0;
        for (const Job& job : jobs_) n += job.who.size();
        return n;
    }
    void forget_unwanted() noexcept {
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const auto at = job++;
            std::erase_if(at->who, [](const Completion<Found>& done) { return !done.wanted(); });
            if (at->who.empty() && !at->running) jobs_.erase(at);
        }
    }

    const ResolverOptions options_;
    const LookUp look_up_;
    mutable belay::detail::SpinMutex mutex_;
    std::list<Job> jobs_;
    unsigned threads_ = 0;
};

/// Looks names up on threads of its own: one look-up at a time for a name, threads_max for all.
///
/// A thread lives while there is work. It owns what it touches, so nobody ever waits for one that
/// hangs in the system's resolver.
///
/// Thread safety: any thread.
class BasicResolver {
public:
    BasicResolver(const BasicResolver&) = delete;
    BasicResolver& operator=(const BasicResolver&) = delete;

    /// Answers what `host` stands for, by another thread; no if the resolver goes before that.
    /// Throws: std::bad_alloc.
    void look_up(const std::string& host, Completion<Found> done) {
        if (!look_ups_->take(host, done)) {
            return done(Found{{}, std::make_error_code(std::errc::resource_unavailable_try_again)});
        }
        if (!look_ups_->wants_thread()) return;
        const std::error_code error = start_thread();
        if (error) look_ups_->lack_thread(error);
    }
    /// Threads that look something up now, those that hang included.
    [[nodiscard]] unsigned threads() const noexcept { return look_ups_->threads(); }

protected:
    BasicResolver(const ResolverOptions& options, LookUps::LookUp f)
        : look_ups_{belay::detail::Ref<LookUps>::make(options, f)} {
        BELAY_PRECONDITION(options.threads_max > 0 && options.waiting_max > 0,
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
        // The program's signal handlers are for its own threads.
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

}}}  // namespace belay::posix::detail
