// SPDX-License-Identifier: MIT
// Runs a test with a limit of processor time, so that a busy machine does not fail it.
//
//   run_limited SECONDS WAIT COMMAND...
//
// SECONDS is the limit of processor time of the test and of all processes that it started, also of
// those that have ended and of those whose parent has ended. A test that uses no processor time
// ends after WAIT seconds; each second of processor time that it uses extends this limit of wall
// time by 20 s. At a limit, all its processes are killed, and the reason is printed. They are
// killed, too, when the test has ended, or when SIGINT, SIGTERM or SIGHUP arrives, or ctest ends.
// The exit code or the signal is that of the test; at a limit it is SIGXCPU or SIGALRM, which
// ctest reports as a failure even if the output matches PASS_REGULAR_EXPRESSION.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr double wall_seconds_per_processor_second = 20;

struct Process {
    pid_t parent = 0;
    bool runs = false;
    std::string name{};
    double processor_seconds = 0;  // with those of its children that it has waited for
};

std::string read_file(const std::string& path) {
    std::array<char, 1024> bytes{};
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    const ssize_t size = ::read(file, bytes.data(), bytes.size());
    ::close(file);
    return {bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// Reads /proc/<pid>/stat, see proc(5). The name may contain spaces and parentheses.
Process read_process(const std::string& pid) {
    const std::string text = read_file("/proc/" + pid + "/stat");
    const std::size_t open = text.find('(');
    const std::size_t close = text.rfind(')');
    Process process;
    if (open == std::string::npos || close == std::string::npos) return process;
    char state = 'X';
    std::array<unsigned long, 4> ticks{};
    if (std::sscanf(text.c_str() + close + 1,
                    " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &state,
                    &process.parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3]) != 6) {
        return process;
    }
    process.name = text.substr(open + 1, close - open - 1);
    process.runs = state != 'Z' && state != 'X';
    for (const unsigned long part : ticks) {
        process.processor_seconds +=
            static_cast<double>(part) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
    return process;
}

/// Returns the processes that descend from this one. Because this process is a subreaper, those
/// whose parent has ended are its children.
std::map<pid_t, Process> descendants() {
    std::map<pid_t, Process> all;
    DIR* const directory = ::opendir("/proc");
    if (directory == nullptr) return all;
    while (const dirent* const entry = ::readdir(directory)) {
        const std::string name = entry->d_name;
        if (name.find_first_not_of("0123456789") == std::string::npos) {
            all[std::atoi(name.c_str())] = read_process(name);
        }
    }
    ::closedir(directory);
    const pid_t self = ::getpid();
    const auto is_ours = [&](pid_t pid) {
        // Processes end while they are read, so a chain of parents may be incomplete.
        for (std::size_t steps = 0; steps < all.size(); ++steps) {
            const auto found = all.find(pid);
            if (found == all.end()) return false;
            pid = found->second.parent;
            if (pid == self) return true;
        }
        return false;
    };
    std::map<pid_t, Process> ours;
    for (const auto& [pid, process] : all) {
        if (is_ours(pid)) ours.emplace(pid, process);
    }
    return ours;
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double processor_seconds() {
    rusage ended{};
    ::getrusage(RUSAGE_CHILDREN, &ended);
    double sum = seconds_of(ended.ru_utime) + seconds_of(ended.ru_stime);
    for (const auto& [pid, process] : descendants()) sum += process.processor_seconds;
    return sum;
}

/// Waits for the children that have ended.   Returns: false if there are no children.
template <class F>
bool reap(F&& ended) {
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return pid == 0;
        ended(pid, status);
    }
}

/// Kills all processes of the test, also those that start meanwhile.
void kill_all() {
    // A process that the system cannot end at once, because it waits for a disk, must not hang the
    // run: ten seconds.
    for (int i = 0; i < 1000 && reap([](pid_t, int) {}); ++i) {
        for (const auto& [pid, process] : descendants()) ::kill(pid, SIGKILL);
        ::usleep(10'000);
    }
}

[[noreturn]] void end_by(int signal) {
    std::fflush(stdout);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(signal, SIG_DFL);
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signal);
    ::raise(signal);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    ::_exit(128 + signal);
}

[[noreturn]] void end_as(int status) {
    // Without a child there is no descendant.
    if (reap([](pid_t, int) {})) {
        for (const auto& [pid, process] : descendants()) {
            if (process.runs) {
                std::printf("\nleft running, and killed: %s (%d)\n", process.name.c_str(), pid);
            }
        }
        kill_all();
    }
    if (WIFSIGNALED(status)) end_by(WTERMSIG(status));
    std::fflush(stdout);
    ::_exit(WEXITSTATUS(status));
}

double parsed_seconds(const char* text) {
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    if (*end == '\0' && seconds > 0) return seconds;
    std::fprintf(stderr, "run_limited: \"%s\" must be a number of seconds, greater than 0\n", text);
    std::exit(2);
}

[[noreturn]] void watch(pid_t test, const sigset_t& signals, double limit, double wait) {
    const auto begin = Clock::now();
    const auto processors = static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    double used = 0;
    double wall_left = wait;
    for (;;) {
        // Neither limit can be reached earlier.
        const double pause =
            std::clamp(std::min((limit - used) / processors, wall_left), 0.05, 10.0);
        const auto whole = static_cast<time_t>(pause);
        const timespec time{whole, static_cast<long>((pause - static_cast<double>(whole)) * 1e9)};
        const int signal = ::sigtimedwait(&signals, nullptr, &time);
        if (signal > 0 && signal != SIGCHLD) {
            kill_all();
            end_by(signal);
        }
        reap([test](pid_t pid, int status) {
            if (pid == test) end_as(status);
        });
        used = processor_seconds();
        const double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
        wall_left = wait + wall_seconds_per_processor_second * used - elapsed;
        if (used >= limit) {
            kill_all();
            std::printf(
                "\nended by its limit of processor time, %g s: it has used %.1f s in %.1f s\n",
                limit, used, elapsed);
            end_by(SIGXCPU);
        }
        if (wall_left <= 0) {
            kill_all();
            std::printf(
                "\nended by the limit of wall time, %g s: it has used %.1f s of processor time in "
                "%.1f s, so it "
                "waits for something that does not happen\n",
                wait, used, elapsed);
            end_by(SIGALRM);
        }
    }
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) {
        std::fputs("usage: run_limited SECONDS WAIT COMMAND...\n", stderr);
        return 2;
    }
    const double limit = parsed_seconds(words[1]);
    const double wait = parsed_seconds(words[2]);
    sigset_t signals, before;
    ::sigemptyset(&signals);
    for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const pid_t test = ::fork();
    if (test < 0) {
        std::perror("run_limited: cannot start a process");
        return 2;
    }
    if (test == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::setsid();
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        ::execvp(words[3], words + 3);
        std::fprintf(stderr, "run_limited: cannot run %s: %s\n", words[3], std::strerror(errno));
        ::_exit(127);
    }
    watch(test, signals, limit, wait);
}
