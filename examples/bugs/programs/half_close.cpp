// SPDX-License-Identifier: MIT
// A client ends its direction after a file, and the server takes that end as the end of the file.
// The kernel of a client that is killed in the middle of the file sends the same end.
#include "programs.hpp"

namespace bugs {
namespace {

constexpr std::size_t file_size = 500'000;

struct Uploads {
    std::size_t bytes = 0;  ///< of the last file
    int files = 0;
};

void store_uploads(Uploads& uploads, bool mended) {
    const int listener = listen_at(9000);
    for (;;) {
        const int fd = accept(listener, nullptr, nullptr);
        const timeval limit{.tv_sec = 2, .tv_usec = 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        std::string size, file;
        ssize_t n = get_line(fd, size) ? 1 : -1;
        for (char bytes[4096]; n > 0;) {
            n = recv(fd, bytes, sizeof bytes, 0);
            if (n > 0) file.append(bytes, static_cast<std::size_t>(n));
        }
        if (n == 0 && (!mended || file.size() == std::stoul(size))) {
            uploads.bytes = file.size();
            ++uploads.files;
            put(fd, "stored\n");
        }
        close(fd);
    }
}
void upload() {
    keep_connected("server", 9000, [](int fd) {
        const std::string file(file_size, 'x');
        std::string answer;
        if (put(fd, std::to_string(file_size) + "\n") && put(fd, file)) {
            shutdown(fd, SHUT_WR);
            get_line(fd, answer);
        }
        return false;
    });
}

}  // namespace

bool half_close(sim::World& world, bool mended) {
    Uploads& uploads = world.make<Uploads>();
    run_program(world, "server", [&uploads, mended] { store_uploads(uploads, mended); });
    run_program(world, "client", upload);
    world.always("a stored file is whole",
                 [&] { return uploads.files == 0 || uploads.bytes == file_size; });
    world.run_for(4s);
    world.heal();
    return world.eventually("files arrive", 60s,
                            [&, old = uploads.files] { return uploads.files > old; });
}

}  // namespace bugs
