// SPDX-License-Identifier: MIT
// Runs the program that it is given, with the port of a receiver; both must find the work done.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>

#include "ledger_in_memory.hpp"

int main(int count, char** words) {
    if (count != 2) return 2;
    belay::posix::Loop<> loop;
    Shelf shelf;
    belay::Receiver<belay::posix::Accepted<>, MemoryLedger> receiver{MemoryLedger{shelf}};
    loop.attach(receiver);
    belay::posix::Listener listener{
        loop, [&](belay::posix::Accepted<> a) { receiver.accept(std::move(a)); }};
    if (listener.listen({"127.0.0.1", 0})) return 2;

    const std::string port = std::to_string(listener.port());
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl(words[1], words[1], port.c_str(), nullptr);
        std::_Exit(127);
    }
    int status = 1;
    std::thread waiter{[&] {
        ::waitpid(child, &status, 0);
        loop.stop();
    }};
    loop.run();
    waiter.join();
    const bool arrived = shelf.delivered.size() == 1 && shelf.delivered[0] == "an operation";
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && arrived ? 0 : 1;
}
