// SPDX-License-Identifier: MIT
/// \file tests/support/journal/watched_disk.hpp
/// WatchedDisk: a sim::Disk that a test can stop, or fail, in the middle of a journal's call.
#pragma once

#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include <belay/sim/disk.hpp>

namespace belay_test {

/// Calls a function of the test before a file is written or flushed, and before a directory is
/// flushed. Its files cannot be preallocated: they grow.
struct WatchedDisk : belay::sim::Disk {
    class File : public belay::sim::Disk::File {
    public:
        File(belay::sim::Disk::File file, const WatchedDisk& disk) noexcept
            : belay::sim::Disk::File{std::move(file)}, disk_{&disk} {}

        [[nodiscard]] std::error_code write(std::uint64_t offset, belay::BytesView from) noexcept {
            if (disk_->on_write) disk_->on_write();
            return belay::sim::Disk::File::write(offset, from);
        }
        [[nodiscard]] std::error_code sync() noexcept {
            const std::error_code error = disk_->on_sync ? disk_->on_sync() : std::error_code{};
            return error ? error : belay::sim::Disk::File::sync();
        }
        void preallocate(std::uint64_t) = delete;

    private:
        const WatchedDisk* disk_;
    };

    [[nodiscard]] belay::Result<File> open(const std::string& path, belay::OpenMode mode) noexcept {
        auto file = belay::sim::Disk::open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }
    [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
        if (on_sync_directory) on_sync_directory(path);
        return belay::sim::Disk::sync_directory(path);
    }

    std::function<void()> on_write;
    std::function<std::error_code()> on_sync;
    std::function<void(const std::string&)> on_sync_directory;
};

}  // namespace belay_test
