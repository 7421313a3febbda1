// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/jobs.hpp
/// libc_run_jobs: the jobs of an exploration of simulated programs, which are processes.
#pragma once

#include <sys/mman.h>  // mmap
#include <sys/wait.h>  // waitpid
#include <unistd.h>    // fork, pipe
#include <cstring>     // strsignal

#include <atomic>   // std::atomic
#include <cerrno>   // errno
#include <cstdint>  // std::uint32_t
#include <cstdio>   // std::fflush
#include <memory>   // std::construct_at
#include <new>      // std::bad_alloc
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/libc_sim/detail/streams.hpp>
#include <belay/sim/detail/jobs.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using sim::detail::Job;
using sim::detail::JobResult;
using sim::detail::JobSeeds;

/// Runs a job in this process, and writes its result to a pipe.
[[noreturn]] inline void libc_run_job(std::uint32_t number, Job& job, JobSeeds seeds, int to) {
    int code = 1;
    try {
        const std::string result = job(number, seeds);
        std::size_t written = 0;
        while (written != result.size()) {
            const ssize_t n = ::write(to, result.data() + written, result.size() - written);
            if (n < 0 && errno != EINTR) break;
            written += n < 0 ? 0 : static_cast<std::size_t>(n);
        }
        code = written == result.size() ? 0 : 1;
    } catch (...) {
        code = 1;  // the parent has the sentence
    }
    std::fflush(nullptr);
    ::_exit(code);
}
/// The process of a job, and the pipe to which it writes.
struct LibcJob {
    pid_t process;
    int pipe;
};
/// Returns all that a process writes to its pipe, if it ends well; otherwise how it ends.
[[nodiscard]] inline JobResult libc_result_of(const LibcJob& job) {
    JobResult result{{}, "its process could not be started", sim::detail::no_seed};
    if (job.process < 0) return result;
    char part[4096];
    for (;;) {
        const ssize_t n = ::read(job.pipe, part, sizeof part);
        if (n > 0) result.text.append(part, static_cast<std::size_t>(n));
        if (n == 0 || (n < 0 && errno != EINTR)) break;
    }
    ::close(job.pipe);
    int status = 0;
    while (::waitpid(job.process, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !result.text.empty()) return result;
    result.text.clear();
    result.end = WIFSIGNALED(status)
                     ? "signal " + std::to_string(WTERMSIG(status)) + " (" +
                           ::strsignal(WTERMSIG(status)) + ")"
                     : "its process has ended with code " + std::to_string(WEXITSTATUS(status));
    return result;
}
/// Memory of numbers that this process shares with those of the jobs.
class LibcJobSeeds {
public:
    explicit LibcJobSeeds(std::size_t count) : bytes_{count * sizeof(std::atomic<std::uint64_t>)} {
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc{};
        seeds_ = {static_cast<std::atomic<std::uint64_t>*>(memory_), count};
        for (auto& seed : seeds_) std::construct_at(&seed, sim::detail::no_seed);
    }
    LibcJobSeeds(const LibcJobSeeds&) = delete;
    LibcJobSeeds& operator=(const LibcJobSeeds&) = delete;
    ~LibcJobSeeds() { munmap(memory_, bytes_); }
    [[nodiscard]] JobSeeds all() const noexcept { return seeds_; }

private:
    std::size_t bytes_;
    void* memory_;
    JobSeeds seeds_;
};
/// Runs each job in a process of its own, since a process has one world at a time.
[[nodiscard]] inline std::vector<JobResult> libc_run_jobs(std::uint32_t count, Job& job) {
    const LibcJobSeeds seeds{std::size_t{count} + 1};
    std::vector<LibcJob> jobs;
    std::fflush(nullptr);  // or each process would write it again
    for (std::uint32_t i = 0; i < count; ++i) {
        int ends[2] = {-1, -1};
        const pid_t process = ::pipe(ends) == 0 ? ::fork() : -1;
        if (process == 0) {
            ::close(ends[0]);
            for (const LibcJob& j : jobs) ::close(j.pipe);
            libc_run_job(i, job, seeds.all(), ends[1]);
        }
        if (ends[1] >= 0) ::close(ends[1]);
        if (process < 0 && ends[0] >= 0) ::close(ends[0]);
        jobs.push_back({process, ends[0]});
    }
    std::vector<JobResult> results;
    for (const LibcJob& j : jobs) {
        results.push_back(libc_result_of(j));
        results.back().seed = seeds.all()[results.size()];
    }
    return results;
}
[[gnu::used]] static const bool libc_runs_jobs = (sim::detail::run_jobs = &libc_run_jobs, true);

}}}  // namespace belay::detail
