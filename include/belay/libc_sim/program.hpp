// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/program.hpp
/// sim::Program: unmodified networked code on a host of a simulated world.
#pragma once

#ifndef __linux__
#    error "libc_sim.hpp: simulated programs need Linux and glibc"
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    error "libc_sim.hpp: sanitizers replace the same functions; build this test without them"
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
        __has_feature(memory_sanitizer)
#        error "libc_sim.hpp: sanitizers replace the same functions; build this test without them"
#    endif
#endif

#include <fstream>      // std::ifstream
#include <memory>       // std::unique_ptr, std::shared_ptr
#include <optional>     // std::optional
#include <sstream>      // std::ostringstream
#include <stdexcept>    // std::runtime_error
#include <string>       // std::string
#include <type_traits>  // std::is_void_v
#include <utility>      // std::forward, std::move
#include <vector>       // std::vector

#ifndef __LP64__
#    error "libc_sim.hpp: simulated programs need a 64-bit system"
#endif
#ifndef __GLIBC__
#    error "libc_sim.hpp: simulated programs need glibc"
#elif !__GLIBC_PREREQ(2, 33)
#    error "libc_sim.hpp: simulated programs need glibc 2.33 or later"
#endif

#include <belay/libc_sim/detail/locks.hpp>
#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/symbols.hpp>
#include <belay/sim/detail/child.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
// The linker names it if two source files include this header: the functions of the C library
// cannot be replaced twice.
[[gnu::used]] static const bool libc_counts_abandoned = (
    sim::detail::abandoned_programs = [] { return LibcFiber::abandoned; }, true);
extern const char libc_sim_is_included asm(
    "libc_sim_hpp_must_be_included_by_exactly_one_source_file_of_a_program");
const char libc_sim_is_included = 0;
}  // namespace detail

namespace sim {

/// A program on a host of a simulated world, whose calls of the C library are those of its world.
///
/// The header replaces functions of the C library in the whole test program: include it in exactly
/// one source file. Code outside of a Program, such as the test itself, calls the real ones.
///
///     world.host("server", [](sim::Host& h) {
///         return std::make_unique<sim::Program>(h, [] { return server_main(); });
///     });
///
/// The program begins as an event of its own, on a stack of 1 MiB of its own. The world goes on
/// while the program waits. A kill ends it in the middle of a wait: no destructor runs, and its
/// memory is not freed.
///
/// A program that ends itself, by its `main`, exit(), _exit() or err(), takes its host down:
/// Host::exit_code has its code, and so does the history. World::exits counts these programs.
///
/// An exception from `main` leaves the function that runs the world. A program that calls abort(),
/// or a function that a world does not have, makes that function throw a std::logic_error. Its text
/// names the call.
///
/// docs/reference/simulated-programs.md has the functions, and what programs share.
///
/// Thread safety: the world's thread. All programs at a time are of one world.
class Program {
public:
    /// `main()` returns void, or the exit code.
    template <class F>
    Program(Host& host, F&& main)
        : process_{std::make_unique<belay::detail::LibcProcess>(
              host, [f = std::decay_t<F>(std::forward<F>(main))]() mutable {
                  int code = 0;
                  if constexpr (std::is_void_v<decltype(f())>) {
                      f();
                  } else {
                      code = static_cast<int>(f());
                  }
                  belay::detail::libc_streams::end(*belay::detail::LibcProcess::current());
                  return code;
              })} {
        for (int number = 0; number < 3; ++number) {
            process_->open(std::make_shared<belay::detail::LibcStandardStream>(number));
        }
    }

    /// Returns what `main` has returned, or has passed to exit(); nothing while it runs, and after
    /// an exception.
    [[nodiscard]] std::optional<int> exit_code() const noexcept { return process_->exit_code(); }

private:
    std::unique_ptr<belay::detail::LibcProcess> process_;
};

/// A program in a shared object. Each start has static variables of its own, as a process has.
///
/// `belay_add_simulated_program(server server.cpp)` of CMake builds it from sources whose `main`
/// stays as it is. The test must export its functions (ENABLE_EXPORTS of CMake, -rdynamic).
///
///     const sim::ProgramFile server{SERVER_FILE};
///     world.host("server", [&](sim::Host& h) {
///         return std::make_unique<sim::Program>(h, server.main({"server", "9000"}));
///     });
///
/// Constructors of static variables run in the program, before its main, and destructors after its
/// exit. After a kill, none of them runs. Variables of libraries that it links are those of the
/// test.
///
/// Thread safety: one thread.
class ProgramFile {
public:
    /// Throws: std::runtime_error if there is no such file, or if its copies share variables.
    explicit ProgramFile(const std::string& path) {
        std::ifstream file{path, std::ios::binary};
        std::ostringstream bytes;
        if (!file || !(bytes << file.rdbuf())) {
            throw std::runtime_error{"sim::ProgramFile: cannot read " + path};
        }
        bytes_ = std::make_shared<const std::string>(bytes.str());
        if (const char* const reason = belay::detail::libc_shares_variables(*bytes_)) {
            throw std::runtime_error{"sim::ProgramFile: " + path +
                                     " cannot have variables of its " + "own: " + reason +
                                     "; use belay_add_simulated_program"};
        }
    }

    /// Returns a function that starts the program: the main of a Program, for one start. The first
    /// argument is the name of the program.   Throws: std::runtime_error.
    /// Errors: the program throws a std::runtime_error if the file cannot be loaded.
    [[nodiscard]] auto main(std::vector<std::string> arguments) const {
        auto image = std::make_shared<belay::detail::LibcImage>(*bytes_);
        return [image = std::move(image), words = std::move(arguments)]() mutable {
            // If the test does not export its functions, the program would call the real ones.
            if (dlsym(RTLD_DEFAULT,
                      "libc_sim_hpp_must_be_included_by_exactly_one_source_file_of_a_"
                      "program") == nullptr) {
                throw std::logic_error{
                    "sim::ProgramFile: the test must export its functions: set ENABLE_EXPORTS of "
                    "its target in CMake, or link it with -rdynamic"};
            }
            auto& process = *belay::detail::LibcProcess::current();
            const auto& loaded = process.load(std::move(image));
            std::vector<char*> pointers;
            for (std::string& word : words) pointers.push_back(word.data());
            pointers.push_back(nullptr);
            return loaded.template function<int(int, char**, char**)>("main")(
                static_cast<int>(words.size()), pointers.data(), environ);
        };
    }

private:
    std::shared_ptr<const std::string> bytes_;
};

}  // namespace sim

}}  // namespace belay
