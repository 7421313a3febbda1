// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/child.hpp
/// Child: a process that runs a part of an exploration, and may crash.
#pragma once

#if (defined(__unix__) || defined(__APPLE__)) && !defined(__EMSCRIPTEN__)
#    define BELAY_DETAIL_HAS_FORK 1
#    include <fcntl.h>         // open
#    include <poll.h>          // poll
#    include <signal.h>        // sigaction
#    include <sys/mman.h>      // mmap
#    include <sys/resource.h>  // setrlimit
#    include <sys/time.h>      // setitimer
#    include <sys/wait.h>      // waitpid
#    include <unistd.h>        // fork, pipe
#    ifdef __linux__
#        include <sys/prctl.h>  // prctl
#    endif
#else
#    define BELAY_DETAIL_HAS_FORK 0
#endif

#include <algorithm>    // std::min
#include <cerrno>       // errno
#include <chrono>       // std::chrono::steady_clock
#include <cstdint>      // std::uint64_t
#include <cstdio>       // std::fflush
#include <cstring>      // strsignal
#include <memory>       // std::construct_at
#include <optional>     // std::optional
#include <span>         // std::span
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::swap
#include <vector>       // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/instant.hpp>
#include <belay/sim/report.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

inline constexpr bool can_fork = BELAY_DETAIL_HAS_FORK != 0;
inline constexpr std::uint64_t no_seed = ~std::uint64_t{0};
inline constexpr const char* hangs = "the limit of processor time";

/// Returns how many programs of this process were abandoned: `libc_sim/program.hpp` sets it.
using CountPrograms = std::size_t (*)();
inline constinit CountPrograms abandoned_programs = nullptr;

/// A text of limited size, in memory that two processes share.
template <std::size_t Size>
struct NotedText {
    std::uint32_t bytes = 0;
    char text[Size];

    /// Returns whether there is space.
    bool add(std::string_view more) noexcept {
        if (more.size() > Size - bytes) return false;
        std::memcpy(text + bytes, more.data(), more.size());
        bytes += static_cast<std::uint32_t>(more.size());
        return true;
    }
    [[nodiscard]] std::string_view view() const noexcept { return {text, bytes}; }
};
/// The counts of a batch.
struct NotedCounts {
    std::uint64_t seeds = 0, worlds = 0, events = 0, faults = 0;

    void set(const Report& report) noexcept {
        *this = {report.seeds_run, report.worlds, report.events, report.faults};
    }
    /// Adds the seeds of a batch that has crashed, the last one included.
    void add_to(Report& report) const noexcept {
        report.seeds_run += seeds + 1;
        report.worlds += worlds + 1;
        report.events += events;
        report.faults += faults;
    }
};
/// Notes of a child, which its parent reads after a crash. The rest of its memory is lost then.
struct ChildNote {
    std::uint64_t seed = no_seed;  // which runs
    std::uint64_t worlds_begun = 0;
    int signal = 0;          // with which it ended, if a handler saw it
    std::uint64_t hash = 0;  // World::trace_hash in a crash
    NotedCounts counts;
    NotedText<std::size_t{1} << 14> hosts;  // of the world that runs; 0 ends each name
    NotedText<std::size_t{1} << 18> diagram;
    NotedText<std::size_t{1} << 10> answers;  // of a search
    NotedText<std::size_t{1} << 10> marks;    // that no world has reached; 0 ends each name
    std::size_t marks_missing = 0;            // how many these are

    void begin(std::uint64_t s) noexcept {
        seed = s;
        ++worlds_begun;
        hosts.bytes = 0;
    }
    void set_hosts(const std::vector<std::string>& names) noexcept {
        for (const std::string& name : names) {
            if (!hosts.add({name.c_str(), name.size() + 1})) return;
        }
    }
    [[nodiscard]] static std::vector<std::string> names_of(std::string_view left) {
        std::vector<std::string> names;
        while (!left.empty()) {
            names.emplace_back(left.substr(0, left.find('\0')));
            left.remove_prefix(std::min(left.size(), names.back().size() + 1));
        }
        return names;
    }
    [[nodiscard]] std::vector<std::string> host_names() const { return names_of(hosts.view()); }
};

struct ChildOptions {
    bool quiet = false;         // its output is discarded
    bool closes_files = false;  // it writes nothing to files that its parent has open
};

#if BELAY_DETAIL_HAS_FORK

/// The world of a child whose processor time is watched.
struct ProcessorWatch {
    ChildNote* note = nullptr;
    void (*handler)() = nullptr;
    std::uint64_t world = 0;
    int looks = 0;
};

/// A process with a copy of this one's memory, which does some work and sends a text home.
///
/// It ends as an unhandled signal ends it: handlers of a test framework are not called. It ends
/// with its parent. It has a copy of one of the parent's threads: the one that has made it.
///
/// Thread safety: one thread.
class Child {
public:
    using Work = belay::detail::Function<std::string(ChildNote&)>;
    using Time = std::chrono::steady_clock::time_point;

    Child(Work work, ChildOptions options) {
        void* const memory = ::mmap(nullptr, sizeof(ChildNote), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return;
        note_ = std::construct_at(static_cast<ChildNote*>(memory));
        int ends[2];
        if (::pipe(ends) != 0) return;
        std::fflush(nullptr);  // or each process would write it again
        const pid_t parent = ::getpid();
        process_ = ::fork();
        if (process_ == 0) run(work, ends[1], options, parent);
        ::close(ends[1]);
        pipe_ = ends[0];
    }
    Child(Child&& other) noexcept { swap(other); }
    Child& operator=(Child&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Child() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            take_status(0);
        }
        if (pipe_ >= 0) ::close(pipe_);
        if (note_ != nullptr) ::munmap(note_, sizeof(ChildNote));
    }

    /// Waits until one of the children has ended, or until `deadline`.   Returns: its index.
    [[nodiscard]] static std::optional<std::size_t> wait_any(std::span<Child> children,
                                                             std::optional<Time> deadline) {
        std::vector<pollfd> files;
        for (;;) {
            files.clear();
            for (std::size_t i = 0; i < children.size(); ++i) {
                if (children[i].take_status(WNOHANG)) return i;
                files.push_back({children[i].pipe_, POLLIN, 0});
            }
            int wait_ms = 1000;  // a process that the child has started may keep the pipe open
            if (deadline) {
                const auto left = elapsed(std::chrono::steady_clock::now(), *deadline);
                if (left == left.zero()) return {};
                const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
                if (ms < wait_ms) wait_ms = static_cast<int>(ms);
            }
            ::poll(files.data(), static_cast<nfds_t>(files.size()), wait_ms);
            for (std::size_t i = 0; i < files.size(); ++i) {
                if (files[i].revents == 0 || children[i].read()) continue;
                if (children[i].take_status(0)) return i;  // the pipe is closed
            }
        }
    }

    /// Returns what the work has returned; empty if the child has not ended well.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// Returns how it has ended instead.
    [[nodiscard]] const std::string& end() const noexcept { return end_; }
    [[nodiscard]] const ChildNote& note() const noexcept {
        static const ChildNote none{};
        return note_ != nullptr ? *note_ : none;
    }

    /// Returns whether standard error is a terminal.
    [[nodiscard]] static bool has_terminal() noexcept { return ::isatty(2) != 0; }
    /// In a child: ends it, as an endless loop, if one world takes so much processor time. The time
    /// is looked at 20 times within the limit, because each look costs more than a short world.
    static void limit_processor_time(ChildNote& note, Duration limit) noexcept {
        watch_ = {&note, watch_.handler, note.worlds_begun, 0};
        if (limit == forever) return;
        handle(SIGPROF, &Child::look, SA_ONSTACK | SA_RESTART);
        set_timer(limit / looks);
    }
    /// In a child with such a limit: calls `handler` before a signal ends it.
    static void handle_crashes(void (*handler)()) noexcept {
        static char stack[std::size_t{1} << 17];
        stack_t other{};
        other.ss_sp = stack;
        other.ss_size = sizeof stack;
        ::sigaltstack(&other, nullptr);
        watch_.handler = handler;
        for (const int number : crashes) {
            handle(number, &Child::end_by, SA_ONSTACK);
        }
    }

private:
    static constexpr int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static constexpr int looks = 20;

    static void handle(int number, void (*handler)(int), int flags) noexcept {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = flags;
        ::sigaction(number, &action, nullptr);
    }
    static void set_timer(Duration every) noexcept {
        const auto us = std::chrono::ceil<std::chrono::microseconds>(every).count();
        itimerval timer{};
        timer.it_value.tv_sec = static_cast<decltype(timer.it_value.tv_sec)>(us / 1'000'000);
        timer.it_value.tv_usec = static_cast<decltype(timer.it_value.tv_usec)>(us % 1'000'000);
        timer.it_interval = timer.it_value;
        ::setitimer(ITIMER_PROF, &timer, nullptr);
    }
    static void look(int number) {
        if (watch_.note->worlds_begun != watch_.world) {
            watch_.world = watch_.note->worlds_begun;
            watch_.looks = 0;
        } else if (++watch_.looks >= looks) {
            end_by(number);
        }
    }
    /// Ends the process without a call that a simulated program may have replaced.
    static void end_by(int number) {
        for (const int crash : crashes) handle(crash, SIG_DFL, 0);
        watch_.note->signal = number;
        if (watch_.handler != nullptr) watch_.handler();
        __builtin_trap();
    }

    [[noreturn]] void run(Work& work, int to, ChildOptions options, pid_t parent) noexcept {
#    ifdef __linux__
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
#    else
        static_cast<void>(parent);
#    endif
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPROF);
        // Those of a test framework do not know that this is not its process.
        for (const int number : crashes) {
            handle(number, SIG_DFL, 0);
            sigaddset(&set, number);
        }
        handle(SIGTERM, SIG_DFL, 0);
        ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
        const int nowhere =
            options.quiet || options.closes_files ? ::open("/dev/null", O_RDWR) : -1;
        for (int file = 1; nowhere >= 0 && file <= 2; ++file) ::dup2(nowhere, file);
        const rlimit none{};
        if (options.quiet) ::setrlimit(RLIMIT_CORE, &none);
        for (int file = 3; options.closes_files && file < 1024; ++file) {
            if (file != to) ::close(file);
        }
        const std::string text = work(*note_);
        set_timer({});
        std::fflush(nullptr);
        for (std::size_t written = 0; written != text.size();) {
            const ssize_t n = ::write(to, text.data() + written, text.size() - written);
            if (n < 0 && errno != EINTR) ::_exit(1);
            if (n > 0) written += static_cast<std::size_t>(n);
        }
        ::_exit(0);
    }
    /// Reads a part of the text.   Returns: whether more may come.
    bool read() {
        char part[4096];
        const ssize_t n = ::read(pipe_, part, sizeof part);
        if (n > 0) text_.append(part, static_cast<std::size_t>(n));
        return n > 0 || (n < 0 && errno == EINTR);
    }
    /// Takes how the process has ended.   Returns: whether it has.
    bool take_status(int flags) {
        if (process_ < 0) end_ = "its process could not be started";
        if (process_ <= 0) return true;
        int status = 0;
        pid_t ended = 0;
        while ((ended = ::waitpid(process_, &status, flags)) < 0 && errno == EINTR) {
        }
        if (ended == 0) return false;
        process_ = 0;
        if (ended < 0) status = 0;  // the program takes the status of all its processes itself
        pollfd file{pipe_, POLLIN, 0};
        while (::poll(&file, 1, 0) == 1 && read()) {
        }
        if (status == 0 && !text_.empty()) return true;
        text_.clear();
        const int seen = note_->signal;
        const int number = !WIFSIGNALED(status) ? 0 : seen != 0 ? seen : WTERMSIG(status);
        end_ = number == SIGPROF ? std::string{hangs}
               : number != 0     ? "the process ended by signal " + std::to_string(number) + " (" +
                                   ::strsignal(number) + ")"
                             : "the process ended with code " + std::to_string(WEXITSTATUS(status));
        return true;
    }
    void swap(Child& other) noexcept {
        std::swap(note_, other.note_);
        std::swap(process_, other.process_);
        std::swap(pipe_, other.pipe_);
        std::swap(text_, other.text_);
        std::swap(end_, other.end_);
    }

    ChildNote* note_ = nullptr;
    pid_t process_ = -1;
    int pipe_ = -1;
    std::string text_;
    std::string end_;
    static inline constinit ProcessorWatch watch_{};  // for a signal handler
};

#else

/// The same without fork(): can_fork is false, and an exploration has no child.
class Child {
public:
    using Work = belay::detail::Function<std::string(ChildNote&)>;
    using Time = std::chrono::steady_clock::time_point;

    Child(const Work&, ChildOptions) {}
    static std::optional<std::size_t> wait_any(std::span<Child>, std::optional<Time>) { return {}; }
    [[nodiscard]] std::string text() const { return {}; }
    [[nodiscard]] std::string end() const { return {}; }
    [[nodiscard]] ChildNote note() const { return {}; }
    [[nodiscard]] static bool has_terminal() noexcept { return false; }
    static void limit_processor_time(ChildNote&, Duration) noexcept {}
    static void handle_crashes(void (*)()) noexcept {}
};

#endif

}}}  // namespace belay::sim::detail
#undef BELAY_DETAIL_HAS_FORK
