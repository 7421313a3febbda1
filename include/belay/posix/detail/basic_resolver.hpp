// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/basic_resolver.hpp
/// BasicResolver: looks up names on its own threads, with any look-up function.
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

/// The addresses of a name, in the order in which to try them; with port 0.
struct Found {
    std::vector<SocketAddress> addresses{};
    std::error_code error{};
};

/// The most addresses of a name that are used. The others are ignored.
inline constexpr std::size_t addresses_max = 256;

/// Copies a list of addresses of the system.   Throws: std::bad_alloc.
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

/// Looks up `host` in the system.   Blocks: as long as its resolver takes.
/// Throws: std::bad_alloc.
[[nodiscard]] inline Found look_up_by_system(const std::string& host) {
    Addresses addresses;
    Found found;
    found.error = addresses.resolve(Endpoint{host, 0}, false);
    found.addresses = copy_of(addresses.first());
    return found;
}

/// The jobs of a resolver, shared with its threads. It outlives the resolver while a thread runs.
///
/// Thread safety: any thread.
class LookUps : public belay::detail::Counted {
public:
    using LookUp = Found (*)(const std::string& host);
    using Waiting = std::vector<Completion<Found>>;

    LookUps(const ResolverOptions& options, LookUp f) noexcept : options_{options}, look_up_{f} {}

    /// Adds a look-up.   Returns: whether it was accepted; if not, `done` is untouched.
    /// Throws: std::bad_alloc.
    [[nodiscard]] bool take(const std::string& host, Completion<Found>& done) {
        const belay::detail::SpinLock lock{mutex_};
        if (waiting() >= options_.waiting_max) forget_unwanted();
        if (waiting() >= options_.waiting_max) return false;
        for (Job& job : jobs_) {
            if (job.host != host) continue;
            job.completions.push_back(std::move(done));
            return true;
        }
        Job& job = jobs_.emplace_back();
        job.host = host;
        job.completions.push_back(std::move(done));
        return true;
    }
    /// Whether another thread is needed. If so, it is already counted.
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
    /// Handles the failure to start that thread. If there is no other thread, it completes all
    /// waiting look-ups with `error`.
    void lack_thread(const std::error_code& error) noexcept {
        {
            const belay::detail::SpinLock lock{mutex_};
            if (--threads_ != 0) return;
        }
        const Found found{{}, error};
        for (Waiting completions = pop_waiting(); !completions.empty(); completions = pop_waiting())
            answer(completions, found);
    }
    /// The body of a thread: looks up what waits, until nothing does.
    void work() noexcept {
        for (auto job = next(); job != jobs_.end(); job = next()) {
            Found found = ask(job->host);
            Waiting completions = finish(job);
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
    struct Job {
        std::string host;
        Waiting completions;
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
    static void answer(Waiting& completions, const Found& found) noexcept {
        for (Completion<Found>& done : completions) {
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
    /// Returns the next job with a wanted completion. If there is none, returns the end, and the
    /// thread is no longer counted.
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
        Waiting completions = std::move(job->completions);
        jobs_.erase(job);
        return completions;
    }
    /// Removes and returns the completions of one job; none if there is no job with any.
    [[nodiscard]] Waiting pop_waiting() noexcept {
        const belay::detail::SpinLock lock{mutex_};
        Waiting completions;
        for (auto job = jobs_.begin(); job != jobs_.end() && completions.empty();) {
            const auto at = job++;
            completions.swap(at->completions);
            if (!at->running) jobs_.erase(at);
        }
        return completions;
    }
    [[nodiscard]] std::size_t waiting() const noexcept {
        std::size_t n = 0;
        for (const Job& job : jobs_) n += job.completions.size();
        return n;
    }
    void forget_unwanted() noexcept {
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const auto at = job++;
            std::erase_if(at->completions,
                          [](const Completion<Found>& done) { return !done.wanted(); });
            if (at->completions.empty() && !at->running) jobs_.erase(at);
        }
    }

    const ResolverOptions options_;
    const LookUp look_up_;
    mutable belay::detail::SpinMutex mutex_;
    std::list<Job> jobs_;
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

    /// Completes `done` with the addresses of `host`, on another thread. If the resolver is
    /// destroyed before, `done` is completed without a value.
    /// Throws: std::bad_alloc.
    void look_up(const std::string& host, Completion<Found> done) {
        if (!look_ups_->take(host, done)) {
            return done(Found{{}, std::make_error_code(std::errc::resource_unavailable_try_again)});
        }
        if (!look_ups_->wants_thread()) return;
        const std::error_code error = start_thread();
        if (error) look_ups_->lack_thread(error);
    }
    /// Returns the number of threads, including those that hang.
    [[nodiscard]] unsigned threads() const noexcept { return look_ups_->threads(); }

protected:
    BasicResolver(const ResolverOptions& options, LookUps::LookUp f)
        : look_ups_{belay::detail::Ref<LookUps>::make(options, f)} {
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

}}}  // namespace belay::posix::detail
