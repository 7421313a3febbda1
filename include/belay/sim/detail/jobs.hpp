// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/jobs.hpp
/// run_jobs: how the jobs of an exploration run if its worlds cannot run in threads.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t
#include <span>     // std::span
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/core/detail/function.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// Numbers that the processes of all jobs share. The first is the lowest seed that has failed, and
/// the others are the seeds that the jobs run. They are no_seed until they are set.
using JobSeeds = std::span<std::atomic<std::uint64_t>>;
inline constexpr std::uint64_t no_seed = ~std::uint64_t{0};
/// A job of an exploration, by its number from 0.   Returns: its result, which is not empty.
using Job = belay::detail::Function<std::string(std::uint32_t, JobSeeds)>;
struct JobResult {
    std::string text;    // empty if the job has ended without a result
    std::string end;     // how it has ended then
    std::uint64_t seed;  // which it ran last
};
/// Runs jobs 0 to `count` - 1, each in a process of its own.   Returns: their results.
using RunJobs = std::vector<JobResult> (*)(std::uint32_t count, Job& job);

/// Null: jobs are threads. `libc_sim/program.hpp` sets it.
inline constinit RunJobs run_jobs = nullptr;

}}}  // namespace belay::sim::detail
