// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/image.hpp
/// LibcImage: a copy of a shared object in this process, with static variables of its own.
#pragma once

#include <dlfcn.h>     // dlopen
#include <elf.h>       // Elf64_Sym
#include <sys/mman.h>  // memfd_create

#include <cerrno>     // errno
#include <cstdint>    // std::uint64_t
#include <cstring>    // std::memcpy
#include <stdexcept>  // std::runtime_error
#include <string>     // std::string

#include <belay/libc_sim/detail/real.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns why copies of a shared object would share variables with each other or with the test;
/// null if they do not.
[[nodiscard]] inline const char* libc_shares_variables(const std::string& bytes) {
    const auto read = [&](std::uint64_t at, auto value) {
        if (at <= bytes.size() && sizeof value <= bytes.size() - at) {
            std::memcpy(&value, bytes.data() + at, sizeof value);
        }
        return value;
    };
    const auto header = read(0, Elf64_Ehdr{});
    bool is_symbolic = false, is_unique = false;
    for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
        const auto section = read(header.e_shoff + i * sizeof(Elf64_Shdr), Elf64_Shdr{});
        const std::uint64_t end = section.sh_offset + section.sh_size;
        if (section.sh_type != SHT_DYNSYM && section.sh_type != SHT_DYNAMIC) continue;
        for (std::uint64_t at = section.sh_offset; at < end && at < bytes.size();) {
            if (section.sh_type == SHT_DYNSYM) {
                const auto symbol = read(at, Elf64_Sym{});
                is_unique |= ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE;
                at += sizeof symbol;
            } else {
                const auto entry = read(at, Elf64_Dyn{});
                is_symbolic |= entry.d_tag == DT_SYMBOLIC ||
                               (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_SYMBOLIC) != 0);
                at += sizeof entry;
            }
        }
    }
    return is_unique      ? "it was compiled without -fno-gnu-unique"
           : !is_symbolic ? "it is no shared object that was linked with -Wl,-Bsymbolic"
                          : nullptr;
}

/// A loader maps each file once. So each copy is a file of its own, in memory.
///
/// Thread safety: one thread.
class LibcImage {
public:
    /// Makes the copy, which is not loaded yet.   Throws: std::runtime_error.
    explicit LibcImage(const std::string& bytes)
        : file_{libc_real<"memfd_create", int>("simulated program", unsigned{MFD_CLOEXEC})} {
        std::size_t done = 0;
        while (file_ >= 0 && done < bytes.size()) {
            const auto n =
                libc_real<"write", ssize_t>(file_, bytes.data() + done, bytes.size() - done);
            if (n <= 0) break;
            done += static_cast<std::size_t>(n);
        }
        if (done != bytes.size()) {
            const int error = errno;
            close();
            throw std::runtime_error{"sim::ProgramFile: no memory for a copy (errno " +
                                     std::to_string(error) + ")"};
        }
        // A loader knows a file by its path, too, and the numbers of files come again. So each path
        // is written in another way.
        static std::uint64_t copies = 0;
        path_ = "/proc/self/fd";
        for (std::uint64_t n = ++copies, bit = 0; bit < 24; ++bit, n >>= 1) {
            path_ += n % 2 == 0 ? "//" : "/.";
        }
        path_ += "/" + std::to_string(file_);
    }
    LibcImage(const LibcImage&) = delete;
    LibcImage& operator=(const LibcImage&) = delete;
    ~LibcImage() {
        if (handle_ != nullptr) dlclose(handle_);
        close();
    }

    /// Loads the copy. Constructors of its static variables run.   Throws: std::runtime_error.
    void load() {
        handle_ = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ == nullptr) throw std::runtime_error{error("cannot load it")};
        close();
    }
    /// Returns a function.   Throws: std::runtime_error.   Pre: load() was called.
    template <class F>
    [[nodiscard]] F* function(const char* name) const {
        void* const found = dlsym(handle_, name);
        if (found == nullptr) throw std::runtime_error{error("has no function of this name")};
        return reinterpret_cast<F*>(found);
    }
    /// Returns whether an object of this copy is at an address.
    [[nodiscard]] bool has(const void* address) const noexcept {
        Dl_info info{};
        return dladdr(address, &info) != 0 && path_ == info.dli_fname;
    }

private:
    [[nodiscard]] static std::string error(const char* what) {
        const char* const reason = dlerror();
        return std::string{"sim::ProgramFile: "} + what + ": " + (reason != nullptr ? reason : "");
    }
    void close() noexcept {
        if (file_ >= 0) libc_real<"close", int>(file_);
        file_ = -1;
    }

    int file_;
    std::string path_;
    void* handle_ = nullptr;
};

}}}  // namespace belay::detail
