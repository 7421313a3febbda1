// SPDX-License-Identifier: MIT
// A durable queue of jobs. Accepted jobs survive the process, and are done in order, each once. An
// observer counts, and prints rejected jobs.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>

using namespace belay;  // in examples only

namespace {

struct Job {
    std::uint32_t priority = 0;
    std::string title;
};

/// Four bytes, and the title. A journal outlives the program that wrote it: what comes from another
/// version must be rejected here, not guessed.
struct JobCodec {
    bool encode(const Job& job, Bytes& into) {
        if (job.title.empty()) return false;
        into.resize(4);
        store_le(into.data(), job.priority);
        const BytesView title = as_bytes(job.title);
        into.insert(into.end(), title.begin(), title.end());
        return true;
    }
    std::optional<Job> decode(BytesView bytes) {
        if (bytes.size() <= 4) return std::nullopt;
        return Job{load_le<std::uint32_t>(bytes.data()), std::string{as_text(bytes.subspan(4))}};
    }
};

/// Counts, and complains.
struct Watch : QueueCounters {
    void on_rejected(const std::error_code& why) {
        QueueCounters::on_rejected(why);
        std::printf("rejected: %s\n", why.message().c_str());
    }
};

using Jobs = Queue<Encoded<posix::Journal, JobCodec>, Reject, Watch>;

/// Opens the queue, as every start of the program does.
Result<Jobs, JournalError> open_jobs(const std::string& path) {
    auto journal = posix::Journal::open(path, {.flush = Flush::group});
    if (!journal) return journal.error();
    return Jobs{Encoded{std::move(journal).value(), JobCodec{}}, Reject{}, {.limit = 100}};
}

}  // namespace

int main() {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("belay-example-" + std::to_string(entropy()));
    const std::string path = directory.string();
    const auto work_on = [](const Job& job) {
        std::printf("working on the %s (%u)\n", job.title.c_str(), job.priority);
        return job.title != "second";
    };
    {
        auto jobs = open_jobs(path);
        if (!jobs) return std::printf("%s\n", jobs.error().message().c_str()), 1;
        for (const char* const title : {"first", "second", "third"}) {
            if (jobs->push(Job{7, title})) return 1;
        }
        if (jobs->push(Job{}) != QueueErrc::bad_encoding) return 1;
        // One flush for all three: from here on they survive a kill and a loss of power.
        if (jobs->flush()) return 1;
        // The second does not work now: it stays first in the queue, and nothing overtakes it.
        const DrainReport result = jobs->drain(work_on);
        std::printf("%zu done, then: %s\n", result.drained, result.error.message().c_str());
        const QueueCounters& counted = jobs->observer();
        std::printf("pushed %u, rejected %u, at most %zu at a time\n",
                    static_cast<unsigned>(counted.pushed), static_cast<unsigned>(counted.rejected),
                    counted.deepest);
        if (counted.pushed != 3 || counted.rejected != 1 || counted.drained != 1) return 1;
    }
    auto jobs = open_jobs(path);
    if (!jobs) return std::printf("%s\n", jobs.error().message().c_str()), 1;
    std::printf("after a restart %zu are left\n", jobs->size());
    const std::optional<Job> second = jobs->pop();
    const DrainReport rest = jobs->drain(work_on);
    std::filesystem::remove_all(directory);
    return second && second->title == "second" && rest.drained == 1 && jobs->empty() ? 0 : 1;
}
