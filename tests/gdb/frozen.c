/* A program that is dumped at a known place: four threads, each in functions that call each other, with known variables
 * and known registers. It waits in pause; nothing but a signal ends that. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct point {
	int x, y;
};

struct point place = { 17, -4 };
const char *saying = "read without melting it";
double quarter = 0.25;
long table[4] = { 1, 10, 100, 1000 };
static __thread int mine;
int has_avx, has_avx512;

/* The last frame. `number` goes to r12 and xmm7, its double to ymm9 where there is one, its triple to zmm20. */
__attribute__((noinline)) static void park(long number)
{
	long twice = 2 * number, thrice = 3 * number;

	__asm__ volatile("fldpi\n\tmovq %0, %%xmm7" : : "r"(number));
	if (has_avx)
		__asm__ volatile("vmovq %0, %%xmm9\n\t"
				 "vmovddup %%xmm9, %%xmm9\n\t"
				 "vinsertf128 $1, %%xmm9, %%ymm9, %%ymm9"
				 : : "r"(twice));
	if (has_avx512)
		__asm__ volatile("vpbroadcastq %0, %%zmm20\n\t"
				 "kmovw %k0, %%k3"
				 : : "r"(thrice));
	__asm__ volatile("mov %0, %%r12\n"
			 "1:\tmov $34, %%eax\n\t"
			 "syscall\n\t"
			 "jmp 1b"
			 : : "r"(number) : "rax", "rcx", "r11", "r12", "memory");
}

__attribute__((noinline)) static void inner(int depth, const char *word)
{
	struct point local = { depth * 2, depth * 3 };

	mine = depth + 1000;
	park(0x1100 + depth);
	/* not reached, and so not left out */
	place.x = local.x + word[0];
}

__attribute__((noinline)) static void middle(int depth)
{
	char word[16] = "thread number ?";

	word[14] = '0' + depth;
	inner(depth, word);
	place.y = word[14];
}

static void *worker(void *argument)
{
	middle(*(int *)argument);
	return NULL;
}

int main(void)
{
	static int numbers[] = { 1, 2, 3 };
	pthread_t threads[3];
	long *heap = malloc(1 << 20);

	has_avx = __builtin_cpu_supports("avx") != 0;
	has_avx512 = __builtin_cpu_supports("avx512f") != 0;
	heap[1000] = 0x123456789abcdef;
	for (int number = 0; number < 3; number++)
		pthread_create(&threads[number], NULL, worker, &numbers[number]);
	inner(7, "the leader");
	return (int)heap[0];
}
