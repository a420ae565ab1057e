// Sends a datagram from an address that is not its own.
//
//   claim SOURCE DESTINATION PORT TEXT
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **words)
{
    if (count != 5 || strlen(words[4]) > 256)
        return 2;
    struct { struct iphdr ip; struct udphdr udp; char text[256]; } packet = { 0 };
    size_t length = sizeof packet.ip + sizeof packet.udp + strlen(words[4]);
    struct sockaddr_in to = { .sin_family = AF_INET };
    inet_pton(AF_INET, words[2], &to.sin_addr);
    inet_pton(AF_INET, words[1], &packet.ip.saddr);
    packet.ip.daddr = to.sin_addr.s_addr;
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.ttl = 64;
    packet.ip.protocol = IPPROTO_UDP;
    packet.ip.tot_len = htons(length);
    packet.udp.source = htons(53);
    packet.udp.dest = htons(atoi(words[3]));
    packet.udp.len = htons(length - sizeof packet.ip);
    memcpy(packet.text, words[4], strlen(words[4]));
    int file = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (file < 0 || sendto(file, &packet, length, 0, (void *)&to, sizeof to) < 0) {
        perror("claim");
        return 1;
    }
    return 0;
}
